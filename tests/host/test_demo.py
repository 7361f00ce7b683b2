"""The demonstration itself, as `make demo ARGS=--once` runs it, with the images that dist/ has."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import demo  # noqa: E402
from kit import broker, images  # noqa: E402
from kit.ui import UserError  # noqa: E402


@pytest.fixture(autouse=True)
def _images_as_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(images, "ensure", lambda boards: None)
    monkeypatch.setattr(demo, "WORK", tmp_path)


def test_both_nodes_tell_about_themselves_and_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["--once", "--port", str(broker._free_port(0))]) == 0
    shown = capsys.readouterr()
    assert "Both nodes are on the broker and answered" in shown.out + shown.err
    for name in ("pico", "sim"):
        assert f"<- demo/{name}/available  online" in shown.out
        assert f"<- demo/{name}/SYSINFO  {{" in shown.out
        assert f"<- demo/{name}/echo_  {demo.QUESTION}" in shown.out
    assert re.search(r"coldframe-RPI_PICO-[\d.]+\.uf2 +[\d,]+ bytes", shown.out)


@pytest.mark.parametrize("port", ["0", "65536"])
def test_a_port_that_cannot_be_is_one_error(port: str) -> None:
    with pytest.raises(UserError, match="--port: got .*; expected 1 to 65535"):
        demo.main(["--once", "--port", port])


def test_a_broker_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "_accepts", lambda port: False)
    with pytest.raises(UserError) as caught:
        broker.Mosquitto(70000).start()
    assert "port 70000: mosquitto did not start" in str(caught.value)
    assert caught.value.hint  # what mosquitto itself has said
