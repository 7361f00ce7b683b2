"""coldframe flash: which image, which board, what is written; a folder plays the boot drive of a Pico."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from coldframe_cli import bootdrive, firmware
from coldframe_cli.bootdrive import Drive, DriveError
from coldframe_cli.errors import CliError
from coldframe_cli.firmware import FirmwareError
from coldframe_cli.ports import Port, choose
from host import command
from host.cable import Cable
from kit import uf2

RP2040 = 0xE48BFF56
RP2350 = 0xE48BFF59


def add(folder: Path, board: str, version: str, port: str, data: bytes, **more: object) -> Path:
    """Put an image into a folder, as the build does."""
    end = ".uf2" if port == "rp2" else ".bin"
    stem = f"coldframe-{board}-{version}"
    files = {f"{stem}{end}": data}
    if port == "rp2":
        files[f"{stem}-with-filesystem{end}"] = uf2.with_data(data, b"files", 0xA0000)
    facts = {
        "board": board,
        "version": version,
        "port": port,
        "title": f"a {board}",
        "flash": {"size": 1 << 21},
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        },
    } | more
    files[f"{stem}.json"] = json.dumps(facts).encode()
    lines = []
    for name, content in files.items():
        (folder / name).write_bytes(content)
        lines.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    with (folder / firmware.SUMS).open("a") as sums:
        sums.writelines(lines)
    return folder / f"{stem}{end}"


def program(size: int = 700, family: int = RP2040) -> bytes:
    return uf2.write(uf2.blocks_of(bytes(i & 0xFF for i in range(size)), uf2.XIP_BASE, family))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    add(folder, "RPI_PICO", "0.9.0", "rp2", program(400))
    add(folder, "RPI_PICO", "0.10.0-rc1", "rp2", program(500))
    add(folder, "RPI_PICO", "0.10.0", "rp2", program(300_000))
    add(folder, "ESP32_GENERIC", "0.10.0", "esp32", b"\xe9 esp32" * 99)
    add(folder, "ESP32_GENERIC_C3", "0.10.0", "esp32", b"\xe9 c3" * 99)
    add(folder, "ESP8266_GENERIC", "0.10.0", "esp8266", b"\xe9 8266" * 99)
    add(
        folder,
        "ESP8266_LINKCHECK",
        "0.10.0",
        "esp8266",
        b"\xe9",
        title="to check its size (not for flashing)",
    )
    add(folder, "UNIX", "0.10.0", "unix", b"ELF")
    return folder


class BootRom:
    """Plays the boot ROM: a drive that goes away when it has got every block of a file."""

    def __init__(self, folder: Path, board_id: str = "RPI-RP2") -> None:
        self.folder = folder
        self.got = b""
        folder.mkdir()
        (folder / bootdrive.INFO).write_text(f"UF2 Bootloader v3.0\nModel: x\nBoard-ID: {board_id}\n")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            for path in self.folder.glob("*.uf2"):
                data = path.read_bytes()
                count = int.from_bytes(data[24:28], "little") if len(data) >= 512 else 0
                if count and len(data) == count * 512:
                    self.got = data
                    (self.folder / bootdrive.INFO).unlink()
                    return
            time.sleep(0.01)

    def close(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[BootRom]:
    rom = BootRom(tmp_path / "RPI-RP2")
    yield rom
    rom.close()


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return command.environment(tmp_path)


def test_onto_a_pico(images: Path, drive: BootRom, env: dict[str, str]) -> None:
    done = command.run("flash", "--from", images, "--drive", drive.folder, "--json", env=env)
    told = command.rows(done.stdout)[-1]
    assert (told["ok"], told["board"], told["version"]) == (True, "RPI_PICO", "0.10.0")
    assert drive.got == (images / "coldframe-RPI_PICO-0.10.0.uf2").read_bytes()
    assert told["sha256"] == hashlib.sha256(drive.got).hexdigest()


def test_onto_a_pico_that_is_running(images: Path, tmp_path: Path, env: dict[str, str]) -> None:
    """A simulated board is sent into its boot mode over its serial port; when it has gone, its drive appears."""
    cable = Cable(tmp_path / "node", "00000000000000f1")
    place = tmp_path / "RPI-RP2"
    roms: list[BootRom] = []
    over = threading.Event()

    def appear() -> None:
        while cable.board.running and not over.wait(0.05):
            pass
        if not over.is_set():
            roms.append(BootRom(place))

    try:
        cable.board.start()
        cable.board.wait_for("started, base topic")
        thread = threading.Thread(target=appear, daemon=True)
        thread.start()
        command.run("flash", "--from", images, "--port", cable.port, "--drive", place, env=env)
        assert "machine.bootloader()" in cable.board.console
        assert roms[0].got == (images / "coldframe-RPI_PICO-0.10.0.uf2").read_bytes()
    finally:
        over.set()
        thread.join()
        cable.close()
        for rom in roms:
            rom.close()


def test_another_version_with_files(images: Path, drive: BootRom, env: dict[str, str]) -> None:
    args = ("--with-filesystem", "--image-version", "v0.9.0")
    done = command.run("flash", "rpi_pico", "--from", images, "--drive", drive.folder, *args, env=env)
    assert "done: the board starts with Coldframe 0.9.0" in done.stdout
    assert drive.got == (images / "coldframe-RPI_PICO-0.9.0-with-filesystem.uf2").read_bytes()


def test_a_file_in_a_folder_of_images(images: Path, drive: BootRom, env: dict[str, str]) -> None:
    file = images / "coldframe-RPI_PICO-0.10.0-rc1.uf2"
    command.run("flash", "--from", file, "--drive", drive.folder, env=env)
    assert drive.got == file.read_bytes()


def test_a_dry_run_writes_nothing(images: Path, drive: BootRom, env: dict[str, str]) -> None:
    done = command.run("flash", "-n", "--from", images, "--drive", drive.folder, env=env)
    assert done.stdout == f"would copy {images}/coldframe-RPI_PICO-0.10.0.uf2 to {drive.folder}\n"
    assert [path.name for path in drive.folder.iterdir()] == [bootdrive.INFO]


def test_a_damaged_image_is_refused(images: Path, drive: BootRom, env: dict[str, str]) -> None:
    file = images / "coldframe-RPI_PICO-0.10.0.uf2"
    data = bytearray(file.read_bytes())
    data[1000] ^= 1
    file.write_bytes(data)
    done = command.run("flash", "--from", images, "--drive", drive.folder, env=env, code=2)
    assert re.search(r"^error: .*0\.10\.0\.uf2: damaged or exchanged; SHA256SUMS says", done.stderr)
    # One who changes the sums as well is found out by the description.
    sums = (images / firmware.SUMS).read_text()
    old = re.search(r"(\S+)  coldframe-RPI_PICO-0.10.0.uf2", sums)
    assert old
    (images / firmware.SUMS).write_text(sums.replace(old[1], hashlib.sha256(data).hexdigest()))
    done = command.run("flash", "--from", images, "--drive", drive.folder, env=env, code=2)
    assert "its .json says" in done.stderr
    (images / firmware.SUMS).write_text(
        "".join(row for row in sums.splitlines(True) if "0.10.0.uf2" not in row)
    )
    done = command.run("flash", "--from", images, "--drive", drive.folder, env=env, code=2)
    assert "expected a line for coldframe-RPI_PICO-0.10.0.uf2" in done.stderr
    assert not drive.got


def test_the_wrong_chip_is_refused(images: Path, tmp_path: Path, env: dict[str, str]) -> None:
    rom = BootRom(tmp_path / "RP2350", "RP2350")
    try:
        done = command.run("flash", "--from", images, "--drive", rom.folder, env=env, code=2)
        assert "no image for the chip that was found (rp2350)" in done.stderr
        done = command.run("flash", "RPI_PICO", "--from", images, "--drive", rom.folder, env=env, code=2)
        assert f"for the rp2040, but {rom.folder} is a board that calls itself RP2350" in done.stderr
        done = command.run("flash", "ESP32_GENERIC", "--from", images, "--drive", rom.folder, env=env, code=2)
        assert "not a UF2 file" in done.stderr
    finally:
        rom.close()
    done = command.run("flash", "--from", images, "--drive", tmp_path, env=env, code=2)
    assert "expected a boot drive, with a file INFO_UF2.TXT" in done.stderr


def test_onto_an_esp(images: Path, env: dict[str, str]) -> None:
    """What esptool is told; and esptool itself takes it, down to a port that is not there."""
    port = "/dev/no-such-port"
    for board, words in (
        ("ESP32_GENERIC", "--chip esp32 --port /dev/no-such-port --baud 460800 write-flash 0x1000 "),
        ("ESP32_GENERIC_C3", "--chip esp32c3 --port /dev/no-such-port --baud 460800 write-flash 0x0 "),
        (
            "ESP8266_GENERIC",
            "--chip esp8266 --port /dev/no-such-port --baud 460800 write-flash --flash-size detect 0x0 ",
        ),
    ):
        done = command.run("flash", board, "--from", images, "--port", port, "--erase", "-n", env=env)
        erase, write = done.stdout.splitlines()
        assert re.fullmatch(r"would run: esptool --chip \w+ --port \S+ erase-flash", erase)
        assert write == f"would run: esptool {words}{images}/coldframe-{board}-0.10.0.bin"
    done = command.run("flash", "ESP32_GENERIC", "--from", images, "--port", port, env=env, code=2)
    assert "esptool failed" in done.stderr
    assert re.search(r"could not open|no such file", done.stderr, re.I), done.stderr
    assert "Usage" not in done.stderr


def test_from_a_web_server(images: Path, drive: BootRom, env: dict[str, str]) -> None:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(images))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        command.run("flash", "--from", url, "--drive", drive.folder, env=env)
        assert drive.got == (images / "coldframe-RPI_PICO-0.10.0.uf2").read_bytes()
        done = command.run("flash", "--list", "--from", f"{url}/none", env=env, code=2)
        assert "the server says 404" in done.stderr
        server.shutdown()


def test_the_list(images: Path, env: dict[str, str]) -> None:
    told = command.rows(command.run("flash", "--list", "--json", "--from", images, env=env).stdout)
    assert [(row["board"], row["version"]) for row in told] == [
        ("ESP32_GENERIC", "0.10.0"),
        ("ESP32_GENERIC_C3", "0.10.0"),
        ("ESP8266_GENERIC", "0.10.0"),
        ("RPI_PICO", "0.10.0"),
        ("RPI_PICO", "0.10.0-rc1"),
        ("RPI_PICO", "0.9.0"),
    ]


def test_which_image(images: Path) -> None:
    folder = firmware.Folder(images)
    assert firmware.pick(folder, chips=["esp32c3"]).board == "ESP32_GENERIC_C3"
    assert firmware.pick(folder, chips=["rp2040"]).version == "0.10.0"
    add(images, "SHED_C3", "0.1.0", "esp32", b"\xe9 shed")
    for args, text in (
        ({"chips": ["esp32c3"]}, "several boards fit: say which one: ESP32_GENERIC_C3, SHED_C3"),
        ({"board": "PICO"}, "no image for PICO; there are ESP32_GENERIC, "),
        ({"board": "RPI_PICO", "chips": ["esp32"]}, "the image of RPI_PICO is for rp2040"),
        ({"board": "RPI_PICO", "version": "3"}, "no version 3; there are 0.10.0, 0.10.0-rc1, 0.9.0"),
        ({"board": "ESP8266_LINKCHECK"}, "no image for ESP8266_LINKCHECK"),
    ):
        with pytest.raises(FirmwareError) as caught:
            firmware.pick(folder, **args)
        assert text in str(caught.value)


def test_which_board() -> None:
    pico = Port("/dev/ttyACM0", 0x2E8A, 5)
    esp = Port("/dev/ttyUSB0", 0x10C4, 0xEA60)
    c3 = Port("/dev/ttyACM1", 0x303A, 0x1001)
    other = Port("/dev/ttyS4", 0x1234, 1)
    boot = Drive(Path("/media/RPI-RP2"), "RPI-RP2")
    assert choose([esp, other], [], None) == esp
    assert choose([pico, esp], [], "rp2") == pico
    assert choose([pico, c3], [], "esp") == c3
    assert choose([pico, esp], [boot], None) == boot
    assert choose([pico, esp], [boot], "esp") == esp
    for ports, drives, want, text in (
        ([pico, esp], [], None, "several boards: say which one with --port: /dev/ttyACM0"),
        ([other], [], None, "no board found"),
        ([esp], [], "rp2", "hold BOOTSEL"),
        ([], [boot, Drive(Path("/b"), "RPI-RP2")], None, "several boot drives"),
    ):
        with pytest.raises(CliError) as caught:
            choose(ports, drives, want)
        assert text in str(caught.value)


def test_uf2_files_that_are_wrong() -> None:
    good = program(1000)
    here = Drive(Path("/x"), "RPI-RP2")
    bootdrive.check(good, here)
    for bad, text in (
        (b"", "not a UF2 file"),
        (good[:-1], "expected a multiple of 512"),
        (good[:-512], "incomplete"),
        (good[512:] + good[:512], "incomplete"),
        (b"x" * 512, "not a UF2 file"),
        (program(1000, RP2350), "for the rp2350"),
        (program(1000, 1), "for another family"),
    ):
        with pytest.raises(DriveError) as caught:
            bootdrive.check(bad, here)
        assert text in str(caught.value)


def test_what_is_missing_is_named(tmp_path: Path, env: dict[str, str]) -> None:
    done = command.run("flash", env=env, cwd=tmp_path, code=2)
    assert "no images: say with --from DIR" in done.stderr
    done = command.run("flash", "--from", tmp_path / "none", env=env, code=2)
    assert "no such folder" in done.stderr
