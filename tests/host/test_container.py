"""The build environments, with a real engine. The images come from the cache where they are there."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kit import engine, engine_image, engine_process, facts, host, sources
from kit.engine_buildah import Buildah
from kit.ui import UserError

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = str(PROJECT / "scripts" / "container.py")

# Stands in for scripts/build.py in a copy of the project: does at once what the test asks for.
BUILD = """
import os, pathlib, sys
out = pathlib.Path("/dist")
log = pathlib.Path("build/UNIX/build.log")
log.parent.mkdir(parents=True, exist_ok=True)
log.write_text("gcc -c x.c\\nall it said\\n")
print("UNIX: build the firmware …", file=sys.stderr, flush=True)
wanted = pathlib.Path("wanted").read_text()
if wanted == "error":
    print("error: x.c:3: expected ';'\\n  the line is: int x", file=sys.stderr)
    sys.exit(2)
out.mkdir()
name = "coldframe-UNIX-0.1.0"
(out / name).write_text("program")
(out / name).chmod(0o755)
facts = {key: os.environ[key] for key in ("COLDFRAME_COMMIT", "SOURCE_DATE_EPOCH", "COLDFRAME_CACHE")}
facts["arguments"] = sys.argv[1:]
facts["interfaces"] = os.listdir("/sys/class/net") if wanted == "sys" else [
    line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line
]
facts["sources"] = sorted(os.listdir("build/cache/sources"))
facts["files"] = sorted(str(p) for p in pathlib.Path(".").glob("*"))
import json
(out / (name + ".json")).write_text(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def unix():
    """The environment of the unix port."""
    can_install = os.geteuid() == 0 and host.find("apt-get") is not None
    if not can_install and not any(kind.works() for kind in engine._ENGINES.values()):
        pytest.skip("no container engine here, and no right to install one")
    return engine.environment("unix")


@pytest.fixture
def copy(tmp_path):
    """A small project with the same environments and a build that takes no time."""
    project = tmp_path / "project"
    for name in ("scripts", "boards/UNIX", "modules/coldframe"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Dockerfile", "sources.toml", ".dockerignore"):
        shutil.copy(PROJECT / name, project / name)
    (project / "scripts" / "build.py").write_text(BUILD)
    (project / "wanted").write_text("success")
    (project / "dist").mkdir()
    (project / "dist" / "old").write_text("not to be sent into the container")
    return project


def container(*words: str, **options) -> subprocess.CompletedProcess[str]:
    """Run scripts/container.py."""
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, **options)


def containers() -> set[str]:
    """The containers that the engine knows of which are ours."""
    found = engine.find()
    if found.name == "buildah":
        return found._containers()  # type: ignore[attr-defined]
    names = engine_process.ask([found.name, "ps", "--all", "--format", "{{.Names}}"]) or ""
    return {name for name in names.split() if name.startswith("coldframe-")}


# The Dockerfile.


def test_an_environment_is_built_from_the_stages_that_it_needs():
    dockerfile = engine_image.Dockerfile.read(PROJECT / "Dockerfile")
    assert dockerfile.ports() == ["rp2", "unix", "qemu", "esp8266", "esp32"]
    part = dockerfile.part("rp2")
    assert re.findall(r"(?m)^FROM (.*)", part) == ["${BASE} AS base", "base AS rp2"]
    assert re.findall(r"(?m)^FROM (.*)", dockerfile.part("outputs")) == [
        "${PORT} AS build",
        "scratch AS outputs",
    ]
    whole = (PROJECT / "Dockerfile").read_text()
    assert all(stage.text in whole for stage in dockerfile.stages)


def test_every_package_is_named_with_its_version():
    text = (PROJECT / "Dockerfile").read_text()
    for block in re.findall(r"apt-install \\\n((?:\s+\S+ \\\n)*\s+\S+)", text):
        for word in block.replace("\\\n", " ").split():
            assert re.fullmatch(r"[a-z0-9.+-]+=[0-9][\w.+:~-]*", word), word
    assert "apt-get" not in text and "sources.list" not in text


def test_a_change_of_what_it_is_made_from_makes_another_image(copy):
    dockerfile = engine_image.Dockerfile.read(copy / "Dockerfile")
    keys = {engine_image.key(dockerfile.part(port), copy, "base") for port in dockerfile.ports()}
    keys.add(engine_image.key(dockerfile.part("rp2"), copy, "another base"))
    (copy / "Dockerfile").write_text(
        (copy / "Dockerfile").read_text().replace("\nFROM", "\n# A comment.\nFROM")
    )
    dockerfile = engine_image.Dockerfile.read(copy / "Dockerfile")
    assert {engine_image.key(dockerfile.part(port), copy, "base") for port in dockerfile.ports()} < keys
    with (copy / "scripts" / "apt-install.sh").open("a") as file:
        file.write("# changed\n")
    keys.add(engine_image.key(dockerfile.part("rp2"), copy, "base"))
    assert len(keys) == len(dockerfile.ports()) + 2


def test_the_install_script_has_no_more_than_ten_lines_of_logic():
    lines = (PROJECT / "scripts" / "apt-install.sh").read_text().splitlines()
    assert len([line for line in lines if line.strip() and not line.startswith("#")]) <= 14


# The environment and what runs in it.


def test_the_environment_says_what_it_is(unix):
    found = engine.find()
    assert found.read(unix.image, "/etc/coldframe/base").strip() == unix.base
    packages = found.read(unix.image, "/etc/coldframe/packages").splitlines()
    pins = re.findall(r"(?m)^\s+(\S+=\S+)", engine_image.Dockerfile.read(PROJECT / "Dockerfile").part("unix"))
    missing = {pin for pin in pins if pin not in packages}
    assert {line.split(" offered: ")[0] for line in unix.unlocked} == missing


def test_output_streams_and_input_arrives(unix):
    command = [
        sys.executable,
        SCRIPT,
        "run",
        "unix",
        "--",
        "sh",
        "-c",
        "echo ready; read line; echo got $line >&2; exit 7",
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"  # while the command still waits for us
    out, err = process.communicate("this\n", timeout=60)
    # The command's own words and status, nothing of the engine's.
    assert (out, err, process.returncode) == ("", "got this\n", 7)


def test_without_network_there_is_only_its_own_loopback(unix):
    check = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname(), 5)\n"
        "print([line.split(':')[0].strip() for line in open('/proc/net/dev') if ':' in line])\n"
    )
    done = container("run", "--no-network", "unix", "--", "python3", "-c", check)
    assert (done.stdout.strip(), done.returncode) == ("['lo']", 0)


def test_the_project_is_there_read_only_and_a_folder_can_be_written(unix, tmp_path):
    script = f"head -1 Makefile && ! touch ./x && echo made > {tmp_path}/out/made && touch {tmp_path}/no"
    done = container("run", "--rw", f"{tmp_path}/out", "unix", "--", "sh", "-c", script, cwd=PROJECT)
    assert done.returncode == 0 and done.stdout.startswith("#")
    assert (tmp_path / "out" / "made").read_text() == "made\n"
    assert sorted(os.listdir(tmp_path)) == ["out"]  # what it wrote elsewhere went with the container


def test_the_unix_environment_makes_programs_that_run_here(unix, tmp_path):
    (tmp_path / "a.c").write_text(
        '#include <stdio.h>\nint main(void) { printf("%zu\\n", sizeof(void *)); }\n'
    )
    script = "musl-gcc -static a.c -o a64 && gcc -m32 -static a.c -o a32"
    done = container("run", "--rw", str(tmp_path), "unix", "--", "sh", "-c", f"cd {tmp_path} && {script}")
    assert done.returncode == 0, done.stderr
    for name, size in (("a64", "8"), ("a32", "4")):
        assert subprocess.run([tmp_path / name], capture_output=True, text=True).stdout.strip() == size


def test_an_interrupt_ends_everything(unix):
    marker = f"{os.getpid()}{time.monotonic_ns()}"
    command = [
        sys.executable,
        SCRIPT,
        "run",
        "unix",
        "--",
        "sh",
        "-c",
        f"echo ready; exec sleep 1000.{marker}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    before = containers()
    assert before
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and "Traceback" not in err
    assert not any(f"-{process.pid}-" in name for name in containers())
    running = subprocess.run(["ps", "-e", "-o", "args"], capture_output=True, text=True).stdout
    assert marker not in running


@pytest.mark.skipif(not Buildah.works(), reason="other engines have a daemon that looks after this")
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    # A storage of its own: in the shared one somebody else may be at work, and then nothing is tidied.
    script = (
        "import sys, time; from pathlib import Path\n"
        f"sys.path.insert(0, {str(PROJECT / 'scripts')!r})\n"
        "from kit.engine_buildah import Buildah; from kit.engine_process import need\n"
        f"engine = Buildah(Path({str(tmp_path)!r}))\n"
        "need(['buildah', *engine.storage, 'from', '--name', engine.mine + '-run-0', 'scratch'], 'from')\n"
        "print('ready', flush=True); time.sleep(1000)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    left = f"coldframe-{process.pid}-run-0"
    try:
        assert process.stdout.readline() == "ready\n"
        beside = Buildah(tmp_path)
        assert left in beside._containers()  # whose owner is at work
        beside._busy.close()
    finally:
        process.kill()
        process.wait()
    after = Buildah(tmp_path)
    assert after._containers() == set()
    shutil.rmtree(after.storage[after.storage.index("--runroot") + 1], ignore_errors=True)


# Builds.


def test_a_build_brings_its_files_out(unix, copy, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("COLDFRAME_COMMIT", "c" * 40)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    out = tmp_path / "out"
    made = engine.build(["UNIX"], out=out, jobs=2, project=copy)
    name = f"coldframe-UNIX-{facts.version(copy)}"
    assert [path.name for path in made] == [name, f"{name}.json"]
    assert (out / name).read_text() == "program" and os.access(out / name, os.X_OK)
    assert name in (out / "SHA256SUMS").read_text()
    said = json.loads((out / f"{name}.json").read_text())
    assert said["interfaces"] in ([], ["lo"])
    assert (said["COLDFRAME_COMMIT"], said["SOURCE_DATE_EPOCH"]) == ("c" * 40, "1700000000")
    assert said["arguments"] == ["--jobs", "2", "--out", "/dist", "UNIX"]
    assert any("micropython" in file for file in said["sources"]) and "dist" not in said["files"]
    assert (copy / "build" / "UNIX" / "build.log").read_text() == "gcc -c x.c\nall it said\n"
    err = capfd.readouterr().err
    assert "UNIX: build the firmware" in err and "STEP" not in err and "all it said" not in err
    assert not any(f"-{os.getpid()}-" in name for name in containers())


def test_a_build_that_fails_says_why_and_leaves_nothing(unix, copy, tmp_path, capfd):
    (copy / "wanted").write_text("error")
    with pytest.raises(UserError) as caught:
        engine.build(["UNIX"], out=tmp_path / "out", project=copy)
    assert str(caught.value).startswith("x.c:3: expected ';'\n  the line is: int x")
    assert str(copy / "build" / "UNIX" / "build.log") in str(caught.value)
    assert "all it said" in (copy / "build" / "UNIX" / "build.log").read_text()
    assert not (tmp_path / "out").exists()
    err = capfd.readouterr().err
    assert "exit status" not in err and "error" not in err.lower()


def test_an_interrupted_build_leaves_nothing(unix, copy, tmp_path):
    (copy / "scripts" / "build.py").write_text(
        "import time\nprint('UNIX: waiting …', flush=True)\ntime.sleep(1000)\n"
    )
    command = [
        sys.executable,
        str(copy / "scripts" / "container.py"),
        "build",
        "UNIX",
        "--out",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "waiting" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "interrupted" in rest and "Traceback" not in rest
    assert not (tmp_path / "out").exists()
    assert not any(f"-{process.pid}-" in name for name in containers())
    cache = sources.cache_folder()
    assert not list((cache / "tmp").glob(f"build-{process.pid}-*"))


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = tmp_path / "tmp" / f"build-{gone.pid}-abc"
    running = tmp_path / "tmp" / f"build-{os.getpid()}-abc"
    for folder in (left, running):
        (folder / "context").mkdir(parents=True)
    engine._room(tmp_path)
    assert not left.exists() and running.exists()


def test_an_interrupted_environment_leaves_nothing(unix, copy):
    text = (copy / "Dockerfile").read_text()
    stage = "FROM base AS slow\nRUN echo waiting && sleep 1000\n\nFROM base AS rp2\n"
    (copy / "Dockerfile").write_text(text.replace("FROM base AS rp2\n", stage, 1))
    before = containers()
    command = [sys.executable, str(copy / "scripts" / "container.py"), "env", "slow"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    log = sources.cache_folder() / "logs" / "environment-slow.log"
    log.unlink(missing_ok=True)
    deadline = time.monotonic() + 60
    try:
        while not (log.exists() and "\nwaiting\n" in log.read_text()):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Traceback" not in rest
    assert not [name for name in containers() - before if not name.startswith("coldframe-")]
    assert not [image for image in engine.find().images() if "-slow:" in image]


def test_environments_of_an_earlier_dockerfile_can_be_told(unix, copy):
    assert unix.image not in engine.outdated(project=copy)
    text = (copy / "Dockerfile").read_text()
    (copy / "Dockerfile").write_text(text.replace("AS base\n", "AS base\nENV CHANGED=1\n"))
    assert unix.image in engine.outdated(project=copy)


def test_packages_that_the_mirror_no_longer_has_are_noted_and_refused_when_locked(unix, copy):
    text = (copy / "Dockerfile").read_text()
    stage = "FROM base AS moved\nRUN apt-install hello=0.1-1 ca-certificates=20250419\n\nFROM base AS rp2\n"
    (copy / "Dockerfile").write_text(text.replace("FROM base AS rp2\n", stage, 1))
    place = engine.environment("moved", project=copy)
    try:
        assert [note.split(" offered: ")[0] for note in place.unlocked if "hello" in note] == ["hello=0.1-1"]
        with pytest.raises(UserError, match="--locked") as caught:
            engine.check_packages(place, locked=True)
        assert re.search(r"hello=0\.1-1 offered: \d", str(caught.value))
        assert "--rebuild" in str(caught.value)
    finally:
        engine.find().remove(place.image)


# Bad input.


def test_bad_input_ends_in_one_message(monkeypatch, tmp_path):
    for words, said in (
        (["env", "rp3"], "did you mean rp2"),
        (["run", "unix"], "no command given"),
        (["build", "UNIKS"], "unknown board 'UNIKS'"),
    ):
        done = container(*words)
        assert done.returncode == 2 and done.stderr.count("error:") == 1, done.stderr
        assert said in done.stderr and "Traceback" not in done.stderr
    for name, said in (
        ("dokcer", "one of docker, podman, buildah"),
        ("podman", "does not work on this machine"),
    ):
        # A PATH without any engine, so that the second is true everywhere.
        env = {**os.environ, "COLDFRAME_ENGINE": name, "PATH": str(tmp_path)}
        done = container("env", "unix", env=env)
        assert done.returncode == 2 and said in done.stderr
