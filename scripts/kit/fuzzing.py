"""The plain C cores under fuzzing: how the targets are built and run, with libFuzzer or with our own driver.

A target is a function of tests/fuzz that takes any bytes. libFuzzer (clang) lets the coverage of the core
guide it; the driver (any C compiler) makes its inputs from a seed and needs nothing but the sanitizers. Both
can take one bounds check, `BOUND(n, ...)` in the cores, out of the code, to show that they would miss it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kit import host
from kit.ui import UserError

ROOT = Path(__file__).resolve().parents[2]
FUZZ = ROOT / "tests" / "fuzz"
CORES = {"mqttpacket": ROOT / "cmodules" / "mqttpacket", "ringlog": ROOT / "cmodules" / "ringlog"}
# Target -> the core that it runs, and the longest input that libFuzzer may make (bytes).
TARGETS = {
    "decode": ("mqttpacket", 1200),
    "encode": ("mqttpacket", 400),
    "props": ("mqttpacket", 200),
    "topic": ("mqttpacket", 120),
    "ringlog": ("ringlog", 600),
}
_SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
_WARNINGS = ["-std=gnu99", "-g", "-O1", "-Wall", "-Wextra", "-Werror"]


def core_sources(core: str) -> list[Path]:
    """Return the C files of a core: all of its folder but the binding to MicroPython (mod_*.c)."""
    return sorted(path for path in CORES[core].glob("*.c") if not path.name.startswith("mod_"))


def checks(core: str) -> list[int]:
    """Return the numbers of the bounds checks in a core, sorted, as often as they are there."""
    files = [*core_sources(core), *sorted(CORES[core].glob("*.h"))]
    source = "".join(path.read_text() for path in files)
    return sorted(int(number) for number in re.findall(r"\bBOUND\((\d+),", source))


def driver_sources() -> list[Path]:
    """Return the C files of our own driver without the cores; that of the ring log includes its core."""
    return [
        FUZZ / name for name in ("driver.c", "generate.c", "cases.c", "cases_ringlog.c")
    ] + _target_sources()


def targets_of(core: str) -> list[str]:
    """Return the fuzz targets that run a core."""
    return [target for target, (of, _) in TARGETS.items() if of == core]


def compiler() -> str:
    """Return an ordinary C compiler with sanitizers.

    :raises UserError: when there is none.
    """
    found = os.environ.get("CC") or host.find("gcc") or host.find("clang")
    if found is None:
        raise UserError(
            "no C compiler", where="the fuzz tests", expected="gcc (its sanitizers come with it) or clang"
        )
    return found


def libfuzzer() -> str | None:
    """Return the path of a clang that can link libFuzzer, None if there is none on this machine."""
    clang = host.find("clang")
    if clang is None:
        return None
    # Debian has the compiler and libFuzzer in two packages (clang, libclang-rt-dev).
    done = subprocess.run([clang, "-print-runtime-dir"], capture_output=True, text=True)
    folder = Path(done.stdout.strip() or "/nowhere")
    return clang if [*folder.glob("libclang_rt.fuzzer*.a")] else None


def build_driver(folder: Path) -> Path:
    """Compile our own driver with all targets and return its path."""
    sources = [*driver_sources(), *core_sources("mqttpacket")]
    return _compile(compiler(), [*_WARNINGS, *_SANITIZERS, *_includes()], sources, folder / "driver")


def build_seeds(folder: Path) -> Path:
    """Compile the generator of the corpus and return its path."""
    sources = [FUZZ / "seeds.c", FUZZ / "generate.c", *core_sources("mqttpacket")]
    return _compile(compiler(), [*_WARNINGS, *_includes()], sources, folder / "seeds")


def build_libfuzzer(folder: Path) -> dict[str, Path]:
    """Compile one libFuzzer program per target; target -> program. Only the cores guide it, not the harness.

    :raises UserError: when this machine has no libFuzzer.
    """
    clang = libfuzzer()
    if clang is None:
        raise UserError(
            "clang with libFuzzer is not installed", where="fuzzing", expected="clang and libclang-rt-dev"
        )
    guided, plain = ["-fsanitize=fuzzer-no-link", *_SANITIZERS], _SANITIZERS
    objects: dict[Path, Path] = {}
    # The harness of the ring log includes its core, so that it can make good checksums for bad records.
    for source in [*_target_sources(), *core_sources("mqttpacket")]:
        flags = plain if source.parent == FUZZ and source.name != "fuzz_ringlog.c" else guided
        objects[source] = _compile(
            clang, [*_WARNINGS, *flags, *_includes(), "-c"], [source], folder / f"{source.stem}.o"
        )
    programs = {}
    for target in TARGETS:
        wanted = [path for source, path in objects.items() if _belongs(source, target)]
        programs[target] = _compile(
            clang,
            [*_WARNINGS, *_SANITIZERS, "-fsanitize=fuzzer", *_includes(), f"-DTARGET=fuzz_{target}"],
            [FUZZ / "libfuzzer.c", *wanted],
            folder / f"fuzz_{target}",
        )
    return programs


def make_corpus(seeds: Path, folder: Path) -> dict[str, Path]:
    """Let the generator write the inputs that fuzzing starts from; target -> folder."""
    for target in TARGETS:
        (folder / target).mkdir(parents=True, exist_ok=True)
    done = subprocess.run([seeds, folder], capture_output=True, text=True)
    if done.returncode != 0:
        raise UserError("the corpus could not be made", where=str(seeds), expected=done.stderr[-500:])
    return {target: folder / target for target in TARGETS}


@dataclass
class Campaign:
    """What one run of libFuzzer on one target came to."""

    target: str
    cpu_seconds: float = 0.0
    executions: int = 0
    edges: int = 0  # of the core, reached
    edges_total: int = 0
    corpus: int = 0  # inputs that reach something that the others do not
    what: str = ""  # when something was found: its first line ...
    finding: str = ""  # ... and the whole report
    inputs: list[str] = field(default_factory=list)  # the files of the inputs that were found

    def as_dict(self) -> dict[str, object]:
        """Return the figures for a JSON file."""
        return asdict(self)


def fuzz(
    program: Path,
    target: str,
    corpus: Path,
    seconds: float,
    *,
    seed: int = 20261121,
    drop: int = 0,
    artifacts: Path | None = None,
    keep: bool = False,
) -> Campaign:
    """Run libFuzzer until it has used so much CPU time or has found something.

    :param seconds: CPU time, so that a busy machine does not make the run smaller.
    :param drop: number of the bounds check to take out, 0 for none.
    :param artifacts: folder for the inputs that were found; the corpus folder's parent if not given.
    :param keep: write new inputs into the corpus folder.
    """
    grown = corpus if keep else corpus.parent / f"{target}-new-{drop}"
    grown.mkdir(exist_ok=True)
    artifacts = artifacts or corpus.parent
    prefix = artifacts / f"found-{target}-{drop}-"
    command = [
        str(program), f"-seed={seed}", f"-dict={FUZZ / 'mqtt.dict'}", f"-max_len={TARGETS[target][1]}",
        "-print_final_stats=1", "-timeout=10", f"-artifact_prefix={prefix}", "-use_value_profile=1",
        str(grown), *([] if keep else [str(corpus)]),
    ]  # fmt: skip
    env = {
        **os.environ,
        "COLDFRAME_DROP": str(drop),
        "ASAN_OPTIONS": f"quarantine_size_mb=16:symbolize={int(drop == 0)}",
        "UBSAN_OPTIONS": f"print_stacktrace=1:symbolize={int(drop == 0)}",
    }
    log = artifacts / f"log-{target}-{drop}"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env)
        status, used = _wait(process, seconds)
    text = log.read_text(errors="replace")
    if not keep:
        shutil.rmtree(grown)
    campaign = _figures(target, text, used)
    found = sorted(str(path) for path in artifacts.glob(f"{prefix.name}*"))
    if found or (status != 0 and "run interrupted" not in text):
        # The report stands after the last line of progress.
        report = [line for line in text.splitlines() if not re.match(r"\s*#\d+\s+[A-Z]|\s*NEW_FUNC", line)]
        campaign.finding = "\n".join(report)
        named = re.search(r"CHECK failed.*|runtime error.*|ERROR: .*", campaign.finding)
        campaign.what = named[0].strip() if named else "the program ended"
        campaign.inputs = found
    return campaign


def find_missing(
    programs: dict[str, Path], corpora: dict[str, Path], core: str, number: int, seconds: float
) -> Campaign | None:
    """Take bounds check *number* out of *core* and let libFuzzer look for it.

    :param seconds: CPU time that all targets of the core have for it.
    :returns: the run that found it, None if none did.
    """
    targets = targets_of(core)
    # First a little of each: most are found at once, by one target or another. How far a run comes depends on
    # the machine's speed, and one that has gone astray rarely comes back: each round has a seed of its own.
    for seed, share in enumerate((0.05, 0.1, 0.15, 0.2, 0.5), 1):
        for target in targets:
            budget = seconds * share / len(targets)
            run = fuzz(programs[target], target, corpora[target], budget, seed=seed, drop=number)
            if run.finding:
                return run
    return None


def _wait(process: subprocess.Popen[bytes], seconds: float) -> tuple[int, float]:
    """Wait for a fuzzer, stop it when its CPU time is used up; returns exit status and CPU seconds."""
    asked = False
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_utime + usage.ru_stime
        if not asked and _cpu_seconds(process.pid) >= seconds:
            process.send_signal(signal.SIGINT)  # libFuzzer prints its figures and ends with status 0
            asked = True
        time.sleep(0.05)


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time that a running child has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _figures(target: str, text: str, used: float) -> Campaign:
    """Read libFuzzer's output."""
    campaign = Campaign(target, cpu_seconds=round(used, 1))
    if total := re.search(r"Loaded \d+ modules\s+\((\d+) inline", text):
        campaign.edges_total = int(total[1])
    for line in re.finditer(r"#(\d+)\s.*? cov: (\d+) .*?corp: (\d+)/", text):
        campaign.executions, campaign.edges, campaign.corpus = int(line[1]), int(line[2]), int(line[3])
    if stated := re.search(r"number_of_executed_units:\s+(\d+)", text):
        campaign.executions = int(stated[1])
    return campaign


def drive(
    driver: Path, target: str, count: int, *, seed: int = 20261121, drop: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run `count` inputs of our own generator; drop: the bounds check to take out, 0 for none."""
    # Without symbols a failing mutant ends at once.
    options = f"abort_on_error=1:symbolize={int(drop == 0)}"
    env = {**os.environ, "ASAN_OPTIONS": options, "UBSAN_OPTIONS": options + ":print_stacktrace=1"}
    return subprocess.run(
        [driver, target, str(count), str(seed), str(drop)],
        capture_output=True,
        text=True,
        timeout=500,
        env=env,
    )


def drive_cases(driver: Path) -> subprocess.CompletedProcess[str]:
    """Run the cases of tests/fuzz/cases.c."""
    return subprocess.run([driver, "cases"], capture_output=True, text=True, timeout=500)


def _target_sources() -> list[Path]:
    return [FUZZ / "reference.c", *sorted(FUZZ.glob("fuzz_*.c"))]


def _belongs(source: Path, target: str) -> bool:
    """Tell whether an object file is linked into the program of a target."""
    return (source.name == "fuzz_ringlog.c") == (TARGETS[target][0] == "ringlog")


def _includes() -> list[str]:
    return ["-include", str(FUZZ / "drop.h"), *(f"-I{folder}" for folder in [*CORES.values(), FUZZ])]


def _compile(program: str, flags: list[str], sources: list[Path], out: Path) -> Path:
    """Compile and return *out*; the compiler's first lines are the error."""
    command = [program, *flags, *map(str, sources), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise UserError(
            f"{sources[0].name} does not compile", where=program, expected="no error", hint=done.stderr[:3000]
        )
    return out
