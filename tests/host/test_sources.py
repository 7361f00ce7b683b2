"""The sources: fetched, verified, resumed, replaced and refused, against real servers and a real apt."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from host.aptmirror import Mirror, Web, sha256, tar_of
from kit import apt, sources, sources_fetch, sources_net
from kit.ui import UserError

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = PROJECT / "scripts" / "sources.py"
needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt")

TREE = {"lib/README": b"empty\n", "py/mpconfig.h": b"#define X 1\n"}


@pytest.fixture
def web(tmp_path):
    """A server for release archives."""
    (tmp_path / "web").mkdir()
    server = Web(tmp_path / "web")
    yield server
    server.close()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A Debian mirror with a source and a binary package, and apt told to use it."""
    server = Mirror(tmp_path)
    server.source = server.add_source("alpha", "1.2.3+ds-1", TREE)
    deb = {"usr/src/beta/b.c": b"int b;\n", "usr/share/doc/beta/copyright": b"MIT\n"}
    server.binary = server.add_binary(
        "beta-source", "2.0-1", deb, links={"./usr/src/beta/lib": "../../gamma"}
    )
    server.write()
    monkeypatch.setenv(apt.SOURCES_ENV, str(server.sources_file(tmp_path / "test.list")))
    yield server
    server.web.close()


def toml(project: Path, **origins: list[dict]) -> Path:
    """Write a sources.toml; return the project."""
    project.mkdir(exist_ok=True)
    lines = ['[base]\nimage = "x:y"\ndigest = "sha256:0"\nsuite = "trixie"\n']
    for name, listed in origins.items():
        lines.append(f'[source.{name}]\ntitle = "{name}"\nversion = "1"\n')
        for origin in listed:
            lines.append(f"[[source.{name}.origin]]\n")
            for key, value in origin.items():
                if key == "files":
                    value = (
                        "["
                        + ", ".join(
                            "{" + ", ".join(f'{k} = "{v}"' for k, v in f.items()) + "}" for f in value
                        )
                        + "]"
                    )
                    lines.append(f"files = {value}\n")
                else:
                    lines.append(f"{key} = {value!r}\n")
    (project / "sources.toml").write_text("".join(lines))
    return project


def release(web: Web, data: bytes, name: str = "alpha-1.tar.xz", pin: str | None = None) -> dict:
    """Publish an archive; return its origin."""
    (web.folder / name).write_bytes(data)
    return {"kind": "release", "version": "1", "url": f"{web.url}/{name}", "sha256": pin or sha256(data)}


def debian(package: str, version: str, files: dict[str, bytes], inside: str = "") -> dict:
    """The origin of a package of the mirror."""
    roles = {".dsc": "dsc", ".orig.tar.xz": "orig", ".debian.tar.xz": "debian", ".deb": "deb"}
    listed = [
        {
            "role": next(r for end, r in roles.items() if name.endswith(end)),
            "name": name,
            "sha256": sha256(data),
        }
        for name, data in files.items()
    ]
    kind = {"kind": "debian-binary", "inside": inside} if inside else {"kind": "debian-source"}
    return {**kind, "package": package, "version": version, "suites": ["trixie"], "files": listed}


def fetch(project: Path, *names: str, **options) -> sources.Sources:
    """Fetch into a cache beside the project."""
    return sources_fetch.fetch(list(names), cache=project.parent / "cache", project=project, **options)


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def machine_lists() -> dict[str, int]:
    """The package lists of the machine itself, with their times."""
    return {str(path): path.stat().st_mtime_ns for path in Path("/var/lib/apt/lists").rglob("*")}


def unused_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# What the project itself pins.


def test_the_projects_pins_are_well_formed():
    pinned = sources.pins(PROJECT / "sources.toml")
    assert pinned["micropython"].version == "1.26.1"
    for name in ("mbedtls", "lwip", "pico-sdk", "tinyusb", "cyw43-driver", "esp-idf", "esp-open-sdk"):
        assert pinned[name].origins
    assert re.fullmatch("sha256:[0-9a-f]{64}", pinned.base["digest"])


def test_the_dockerfile_names_the_pinned_esp_idf():
    origin = sources.pins(PROJECT / "sources.toml")["esp-idf"].origins[0]
    text = (PROJECT / "Dockerfile").read_text()
    for key in ("url", "tag", "commit"):
        assert f"ARG IDF_{key.upper()}={origin[key]}\n" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('kind = "release"', 'kind = "relaese"'), "kind is 'relaese'"),
        (("sha256 = ", "sha265 = "), "'sha256' is missing"),
        (('version = "1.26.1+ds-1"', ""), "'version' is missing"),
        (("[source.lwip]", "[source.lwip]\n= 3"), "not valid TOML"),
        (('sha256 = "12be', 'sha256 = "xxbe'), "64 hexadecimal digits"),
        (('source = "micropython"', 'source = "micropyton"'), "unknown source 'micropyton'"),
    ],
)
def test_a_mistake_in_the_pins_is_named(tmp_path, change, said):
    text = (PROJECT / "sources.toml").read_text()
    assert change[0] in text
    (tmp_path / "sources.toml").write_text(text.replace(*change, 1))
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        sources.pins(tmp_path / "sources.toml")
    assert "sources.toml" in str(caught.value)


def test_an_unknown_source_gets_a_suggestion():
    with pytest.raises(UserError, match="did you mean micropython"):
        sources.pins()["micropyhton"]


# Release archives.


def test_a_release_is_fetched_verified_and_unpacked(tmp_path, web):
    data = tar_of({f"alpha-1/{name}": content for name, content in TREE.items()})
    project = toml(tmp_path / "p", alpha=[release(web, data)])
    found = fetch(project, "alpha")
    assert files_of(found.unpack("alpha", tmp_path / "tree")) == TREE
    assert found.locked(["alpha"])
    assert found.record(["alpha"]) == {
        "alpha": {
            "version": "1",
            "origin": "release",
            "locked": True,
            "files": {"alpha-1.tar.xz": sha256(data)},
        }
    }
    web.close()  # from now on the cache has to do
    assert fetch(project, "alpha", offline=True).locked(["alpha"])


def test_a_mismatch_is_refused_with_both_hashes_and_nothing_is_kept(tmp_path, web):
    good, bad = tar_of({"a/x": b"1"}), tar_of({"a/x": b"2"})
    second = release(web, good, "second.tar.xz")
    project = toml(tmp_path / "p", alpha=[release(web, bad, pin=sha256(good)), second])
    with pytest.raises(UserError) as caught:
        fetch(project, "alpha")
    assert sha256(good) in str(caught.value) and sha256(bad) in str(caught.value)
    # Not a reason to try elsewhere: somebody should look.
    assert [path for path, _ in web.asked] == ["/alpha-1.tar.xz"]
    assert not [p for p in (tmp_path / "cache" / "sources").iterdir() if "alpha" in p.name]


def test_a_broken_download_goes_on_where_it_stopped(tmp_path, web):
    data = tar_of({"a/x": os.urandom(3_000_000)})
    project = toml(tmp_path / "p", alpha=[release(web, data)])
    web.server.cut = [1_000_000, 500_000]
    assert fetch(project, "alpha").locked(["alpha"])
    assert [part for _, part in web.asked] == [None, "bytes=1000000-", "bytes=1500000-"]


def test_an_interrupted_run_leaves_a_part_and_the_next_one_resumes(tmp_path, web):
    data = tar_of({"a/x": os.urandom(2_000_000)})
    project = toml(tmp_path / "p", alpha=[release(web, data)])
    shutil.copytree(PROJECT / "scripts", project / "scripts")
    web.server.cut, web.server.hold = [1_200_000], threading.Event()
    command = [
        sys.executable,
        str(project / "scripts" / "sources.py"),
        "alpha",
        "--cache",
        str(tmp_path / "cache"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    part = tmp_path / "cache" / "sources" / f"{sha256(data)[:16]}-alpha-1.tar.xz.part"
    _await(lambda: part.exists() and part.stat().st_size >= 1_000_000)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 130 and "interrupted" in said and "Traceback" not in said
    web.server.hold.set()
    have = part.stat().st_size
    assert fetch(project, "alpha").locked(["alpha"])
    assert web.asked[-1] == ("/alpha-1.tar.xz", f"bytes={have}-")


def test_an_origin_that_does_not_answer_is_passed_over_quickly(tmp_path, web, monkeypatch, capsys):
    data = tar_of({"a/x": b"1"})
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections and never says a word
    dead = {"kind": "release", "version": "1", "sha256": sha256(data)}
    project = toml(
        tmp_path / "p",
        alpha=[
            {**dead, "url": f"http://127.0.0.1:{unused_port()}/a.tar.xz"},
            {**dead, "url": f"http://127.0.0.1:{silent.getsockname()[1]}/a.tar.xz"},
            {**dead, "url": f"{web.url}/not-there.tar.xz"},
            release(web, data),
        ],
    )
    monkeypatch.setattr(sources_net, "CONNECT_SECONDS", 1)
    began = time.monotonic()
    assert fetch(project, "alpha").locked(["alpha"])
    assert time.monotonic() - began < 5
    lines = [line for line in capsys.readouterr().err.splitlines() if "trying the next origin" in line]
    assert len(lines) == 3 and "404" in lines[2]
    silent.close()


def test_when_no_origin_answers_all_reasons_are_given(tmp_path):
    url = f"http://127.0.0.1:{unused_port()}/a.tar.xz"
    project = toml(
        tmp_path / "p", alpha=[{"kind": "release", "version": "1", "url": url, "sha256": "0" * 64}]
    )
    with pytest.raises(UserError, match="cannot be had from any of its origins") as caught:
        fetch(project, "alpha")
    assert "127.0.0.1" in str(caught.value) and "--from alpha=DIR" in str(caught.value)


# Debian packages.


@needs_apt
def test_debian_packages_are_fetched_as_pinned_and_the_machine_stays_as_it_was(tmp_path, mirror):
    project = toml(
        tmp_path / "p",
        alpha=[debian("alpha", "1.2.3+ds-1", mirror.source)],
        beta=[debian("beta-source", "2.0-1", mirror.binary, inside="usr/src/beta")],
    )
    before = machine_lists()
    found = fetch(project, locked=True)
    assert machine_lists() == before
    assert files_of(found.unpack("alpha", tmp_path / "alpha")) == TREE
    # What else is in the package is left out, and so is a link to another package.
    assert files_of(found.unpack("beta", tmp_path / "beta")) == {"b.c": b"int b;\n"}
    assert sorted(os.listdir(tmp_path / "beta")) == ["b.c"]
    mirror.web.close()
    assert fetch(project, offline=True, locked=True).locked(["alpha", "beta"])


@needs_apt
def test_a_mirror_that_moved_on(tmp_path, mirror, capsys):
    project = toml(tmp_path / "p", alpha=[debian("alpha", "1.2.3+ds-1", mirror.source)])
    mirror.forget()
    mirror.add_source("alpha", "1.2.3+ds-2", {**TREE, "new": b"yes"})
    mirror.add_source("alpha", "1.4.0+ds-1", TREE)
    mirror.write()

    with pytest.raises(UserError) as caught:
        fetch(project, "alpha", locked=True)
    for part in ("alpha 1.2.3+ds-1", "1.2.3+ds-2", "1.4.0+ds-1", "without --locked", "COLDFRAME_APT_SOURCES"):
        assert part in str(caught.value)

    found = fetch(project, "alpha")
    assert "Going on with 1.2.3+ds-2" in capsys.readouterr().err
    assert not found.locked(["alpha"])
    assert found.record(["alpha"])["alpha"]["version"] == "1.2.3+ds-2"
    assert (found.unpack("alpha", tmp_path / "tree") / "new").exists()

    # It stays usable offline, says so each time, and is never taken for the pinned one.
    assert not fetch(project, "alpha", offline=True).locked(["alpha"])
    assert "not what sources.toml pins" in capsys.readouterr().err
    with pytest.raises(UserError):
        fetch(project, "alpha", locked=True)

    # An archive that still has the pinned version puts it right.
    mirror.forget()
    again = mirror.add_source("alpha", "1.2.3+ds-1", TREE)
    assert {n: sha256(d) for n, d in again.items()} == {n: sha256(d) for n, d in mirror.source.items()}
    mirror.write()
    assert fetch(project, "alpha", locked=True).locked(["alpha"])


@needs_apt
def test_a_package_with_another_content_under_the_pinned_version_is_refused(tmp_path, mirror):
    project = toml(tmp_path / "p", alpha=[debian("alpha", "1.2.3+ds-1", mirror.source)])
    mirror.forget()
    other = mirror.add_source("alpha", "1.2.3+ds-1", {**TREE, "evil": b"!"})
    mirror.write()
    with pytest.raises(UserError, match="not the pinned file") as caught:
        fetch(project, "alpha")
    name = next(n for n in other if sha256(other[n]) in str(caught.value))
    assert sha256(mirror.source[name]) in str(caught.value)


@needs_apt
def test_a_mirror_without_the_package_is_no_answer(tmp_path, mirror):
    project = toml(tmp_path / "p", alpha=[debian("missing", "1-1", mirror.source)])
    with pytest.raises(UserError, match="cannot be had") as caught:
        fetch(project, "alpha")
    assert "offers nothing" in str(caught.value)


@pytest.mark.parametrize(
    ("pinned", "offered", "chosen"),
    [
        ("1.26.1+ds-1", ["1.25.0+ds-1", "1.26.1+ds-4"], "1.26.1+ds-4"),
        ("1.26.1+ds-1", ["1.25.0+ds-1", "1.26.2-1", "1.28.0-1"], "1.26.2-1"),
        ("1.26.1+ds-1", ["1.25.0+ds-1", "1.29.0-1", "1.28.0-1"], "1.28.0-1"),
        ("3.6.6-0.1~deb13u1", ["3.6.5-1", "2.28.1-1"], "3.6.5-1"),
        ("2.0-1", ["1.9-1", "1.10-1"], "1.10-1"),
    ],
)
def test_the_version_taken_instead_is_the_nearest(pinned, offered, chosen):
    assert sources_fetch.nearest_version(pinned, offered) == chosen


@pytest.mark.parametrize(
    ("name", "text", "archives"),
    [
        (
            "a.list",
            "# deb http://no.example/ trixie main\n"
            "deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm main contrib\n",
            [("http://m.example/debian", "/k.gpg", ["bookworm"])],
        ),
        (
            "a.sources",
            "Types: deb\nURIs: http://m.example/debian\n# a comment\nSuites: trixie trixie-updates\n"
            "Components: main\nSigned-By: /k.gpg\n\n"
            "Enabled: no\nTypes: deb\nURIs: http://off.example\nSuites: sid\n",
            [("http://m.example/debian", "/k.gpg", ["trixie", "trixie-updates"])],
        ),
    ],
)
def test_both_forms_of_apt_sources_are_understood(tmp_path, name, text, archives):
    (tmp_path / name).write_text(text)
    got = [(a.uri, dict(a.trust).get("signed-by"), s) for a, s in apt.parse_sources(tmp_path / name)]
    assert got == archives


# The cache.


def test_a_damaged_file_in_the_cache_is_fetched_again_or_refused_offline(tmp_path, web, capsys):
    data = tar_of({"a/x": b"1"})
    project = toml(tmp_path / "p", alpha=[release(web, data)])
    path = fetch(project, "alpha").folder / f"{sha256(data)[:16]}-alpha-1.tar.xz"
    path.write_bytes(b"rotten")
    with pytest.raises(UserError) as caught:
        fetch(project, "alpha", offline=True)
    assert sha256(data) in str(caught.value) and sha256(b"rotten") in str(caught.value)
    with pytest.raises(UserError, match=sha256(data)):
        sources.Sources(tmp_path / "cache", sources.pins(project / "sources.toml")).unpack(
            "alpha", tmp_path / "t"
        )
    capsys.readouterr()
    assert fetch(project, "alpha").locked(["alpha"])
    assert "fetching it again" in capsys.readouterr().err
    assert path.read_bytes() == data


def test_a_missing_source_names_the_command(tmp_path, web):
    project = toml(tmp_path / "p", alpha=[release(web, b"x")])
    found = sources.Sources(tmp_path / "cache", sources.pins(project / "sources.toml"))
    with pytest.raises(UserError, match="scripts/sources.py alpha"):
        found.require(["alpha"])
    with pytest.raises(UserError, match="scripts/sources.py alpha"):
        fetch(project, "alpha", offline=True)
    assert web.asked == []


def test_a_changed_pin_makes_the_cached_copy_unusable(tmp_path, web):
    project = toml(tmp_path / "p", alpha=[release(web, tar_of({"a/x": b"1"}))])
    fetch(project, "alpha")
    newer = tar_of({"a/x": b"2"})
    toml(project, alpha=[release(web, newer, "alpha-2.tar.xz")])
    with pytest.raises(UserError):
        fetch(project, "alpha", offline=True)
    assert (fetch(project, "alpha").unpack("alpha", tmp_path / "t") / "x").read_bytes() == b"2"


def test_a_full_disk_ends_in_one_message(tmp_path, web):
    if os.geteuid() != 0:
        pytest.skip("needs root, for a small disk")
    project = toml(tmp_path / "p", alpha=[release(web, tar_of({"a/x": os.urandom(3_000_000)}))])
    shutil.copytree(PROJECT / "scripts", project / "scripts")
    cache = tmp_path / "small"
    cache.mkdir()
    command = f'exec "$0" "{project}/scripts/sources.py" alpha --cache "{cache}"'
    script = f'mount -t tmpfs -o size=1m none "{cache}" && {command}'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable], capture_output=True, text=True
    )
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    assert done.returncode == 2 and len(errors) == 1
    assert "No space left on device" in errors[0] and str(cache) in errors[0]


def test_two_runs_at_once_fetch_once(tmp_path, web):
    data = tar_of({"a/x": os.urandom(2_000_000)})
    project = toml(tmp_path / "p", alpha=[release(web, data)])
    shutil.copytree(PROJECT / "scripts", project / "scripts")
    web.server.cut, web.server.hold = [1_000_000], threading.Event()
    command = [
        sys.executable,
        str(project / "scripts" / "sources.py"),
        "alpha",
        "--cache",
        str(tmp_path / "cache"),
    ]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _await(lambda: web.asked)
    second = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert second.stderr is not None
    assert "waiting for another process" in second.stderr.readline()
    web.server.hold.set()
    assert (first.wait(timeout=30), second.wait(timeout=30)) == (0, 0)
    assert [part for _, part in web.asked] == [None, "bytes=1000000-"]


# Folders of the user's, and sources within others.


def test_a_folder_takes_a_sources_place_until_told_otherwise(tmp_path, web, capsys):
    project = toml(tmp_path / "p", alpha=[release(web, tar_of({"a/x": b"upstream"}))])
    mine = tmp_path / "mine"
    (mine / ".git").mkdir(parents=True)
    (mine / ".git" / "config").write_text("no")
    (mine / "x").write_text("mine")
    found = fetch(project, folders={"alpha": mine})
    assert files_of(found.unpack("alpha", tmp_path / "1")) == {"x": b"mine"}
    record = found.record(["alpha"])["alpha"]
    assert (record["origin"], record["locked"]) == ("folder", False)
    assert web.asked == []

    (mine / "x").write_text("changed")
    found = fetch(project, "alpha")
    assert (found.unpack("alpha", tmp_path / "2") / "x").read_text() == "changed"
    assert "goes back to the pinned" in capsys.readouterr().err
    with pytest.raises(UserError, match="replaced by the folder"):
        fetch(project, "alpha", locked=True)
    found = fetch(project, folders={"alpha": None})
    assert (found.unpack("alpha", tmp_path / "3") / "x").read_text() == "upstream"


@pytest.mark.parametrize("given", ["nowhere", "empty"])
def test_a_folder_that_is_none_is_refused(tmp_path, web, given):
    (tmp_path / "empty").mkdir()
    project = toml(tmp_path / "p", alpha=[release(web, b"x")])
    with pytest.raises(UserError, match="--from alpha="):
        fetch(project, folders={"alpha": tmp_path / given})


def test_a_source_within_another_comes_from_there(tmp_path, web):
    whole = tar_of({"a/x": b"1", "a/lib/beta/b.c": b"inner", "a/lib/beta/sub/c.h": b"c"})
    own = release(web, tar_of({"beta-9/b.c": b"own"}), "beta.tar.xz")
    within = {"kind": "within", "source": "alpha", "path": "lib/beta"}
    project = toml(tmp_path / "p", beta=[within, own], alpha=[release(web, whole)])
    found = fetch(project)
    assert files_of(found.unpack("beta", tmp_path / "t")) == {"b.c": b"inner", "sub/c.h": b"c"}
    assert found.record(["beta"])["beta"]["inside"] == "lib/beta"
    assert "/beta.tar.xz" not in [path for path, _ in web.asked]

    # Without its host in the cache, its own origin serves.
    found = sources_fetch.fetch(["beta"], cache=tmp_path / "other", project=project)
    assert files_of(found.unpack("beta", tmp_path / "u")) == {"b.c": b"own"}


def test_staging_takes_what_is_needed_and_no_more(tmp_path, web):
    project = toml(
        tmp_path / "p",
        alpha=[release(web, tar_of({"a/x": b"1"}))],
        beta=[release(web, tar_of({"b/y": b"2"}), "beta.tar.xz")],
    )
    fetch(project).stage(["alpha"], tmp_path / "staged")
    staged = sources.Sources(tmp_path / "staged", sources.pins(project / "sources.toml"))
    assert files_of(staged.unpack("alpha", tmp_path / "t")) == {"x": b"1"}
    assert staged.missing(["alpha", "beta"]) == ["beta"]
    assert len(list((tmp_path / "staged" / "sources").glob("*.tar.xz"))) == 1


def test_no_archive_writes_outside_its_folder(tmp_path, web):
    data = tar_of(
        {"a/x": b"1", "a/../../escaped": b"!", "a/link/y": b"!"}, links={"a/out": "../../..", "a/abs": "/etc"}
    )
    project = toml(tmp_path / "p", alpha=[release(web, data)])
    fetch(project, "alpha").unpack("alpha", tmp_path / "deep" / "tree")
    assert not (tmp_path / "escaped").exists() and not (tmp_path / "deep" / "escaped").exists()
    assert sorted(os.listdir(tmp_path / "deep" / "tree")) == ["link", "x"]


# The command, git and cargo.


def test_the_command_says_what_it_has(tmp_path, web):
    project = toml(tmp_path / "p", alpha=[release(web, tar_of({"a/x": b"1"}))])
    shutil.copytree(PROJECT / "scripts", project / "scripts")
    command = [sys.executable, str(project / "scripts" / "sources.py"), "--cache", str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and re.search(r"^alpha +1 +release +as pinned$", done.stdout, re.M)
    for wrong in (["--from", "alpha"], ["gamma"], ["--origin", "alpha=git"]):
        done = subprocess.run([*command, *wrong], capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.count("error:") == 1 and "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_git_tag_is_taken_only_at_its_commit(tmp_path):
    upstream = tmp_path / "upstream"
    upstream.mkdir()
    git = ["git", "-C", str(upstream), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["tag", "v1"]):
        (upstream / "x").write_text("1")
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "v1"], capture_output=True, text=True, check=True
    ).stdout.strip()
    origin = {"kind": "git", "version": "1", "url": f"file://{upstream}", "tag": "v1", "commit": commit}
    found = fetch(toml(tmp_path / "p", alpha=[origin]), "alpha")
    assert files_of(found.unpack("alpha", tmp_path / "t")) == {"x": b"1"}
    assert found.locked(["alpha"])
    wrong = toml(tmp_path / "q", alpha=[{**origin, "commit": "0" * 40}])
    with pytest.raises(UserError, match="moved upstream") as caught:
        sources_fetch.fetch(["alpha"], cache=tmp_path / "other", project=wrong)
    assert commit in str(caught.value) and "0" * 40 in str(caught.value)


@pytest.mark.skipif(shutil.which("cargo") is None, reason="needs cargo and its registry")
def test_a_withdrawn_crate_is_fetched_by_its_checksum(tmp_path):
    found = sources_fetch.fetch(["esp8266-nonos-sdk"], cache=tmp_path, project=PROJECT)
    tree = found.unpack("esp8266-nonos-sdk", tmp_path / "t")
    assert (tree / "include" / "user_interface.h").exists() and (tree / "libs" / "libmain.a").exists()


def _await(condition, seconds: float = 20) -> None:
    """Wait for something that other processes bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
