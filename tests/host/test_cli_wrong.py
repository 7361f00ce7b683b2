"""The command `coldframe` where something is wrong around it: names, folders, streams; each is one clear line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from coldframe_cli import context, transfer
from coldframe_cli.errors import SessionLost
from coldframe_cli.selectors import Collector
from coldframe_cli.session import Session
from host.brokers import Mosquitto
from host.remoteboard import BASE, KEY, NAME, RemoteBoard


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteBoard]:
    folder = tmp_path_factory.mktemp("cli")
    broker = Mosquitto(folder / "broker").start()
    board = RemoteBoard(broker, folder / "node").up()
    yield board
    board.stop()
    broker.stop()


@pytest.mark.parametrize("name", ["a\nb", "a\x7f", "a\udcff"])
def test_names_that_no_topic_can_have(board: RemoteBoard, name: str) -> None:
    assert b"expected a name such as" in board.cli("ping", name, code=2).stderr


@pytest.mark.parametrize("topic", ["a/#/b", "a/b+", "./x#"])
def test_topics_that_no_broker_takes(board: RemoteBoard, topic: str) -> None:
    assert b"expected whole levels" in board.cli("collect", topic, code=2).stderr


def test_a_list_of_files_that_lacks_its_end(board: RemoteBoard) -> None:
    # A broker that restarts has forgotten what it had not delivered: sync must not take the rest for the whole.
    with board.session() as session:
        call, names = session.call, transfer.listing(session)
        with (
            mock.patch.object(session, "call", lambda *a, on_data, **more: call(*a, on_data=len, **more)),
            pytest.raises(SessionLost, match=f"0 of {len(names)} names"),
        ):
            transfer.listing(session)


def test_paths(board: RemoteBoard, tmp_path: Path) -> None:
    assert b"expected text in UTF-8" in board.cli("fs", "ls", NAME, "/\udcff", code=2).stderr
    file = tmp_path / "file"
    file.write_text("a file")
    said = board.cli("fs", "get", "-r", NAME, "/", str(file), code=2)
    assert b"error:" in said.stderr and b"file" in said.stderr
    said = board.cli("fs", "get", "--all", "/note.txt", str(file), code=6)
    assert b"Not a directory" in said.stdout and b"Errno" not in said.stdout
    (board.flash / "note.txt").write_text("here")
    board.cli("fs", "get", NAME, "/note.txt/", str(tmp_path))
    assert (tmp_path / "note.txt").read_text() == "here"


def test_streams_that_are_closed_or_full(board: RemoteBoard) -> None:
    def run(redirection: str, *args: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "coldframe_cli", *args]
        return subprocess.run(
            command, env={**os.environ, **board.env}, capture_output=True, text=True, timeout=60, check=False
        )

    done = run(">&-", "eval", NAME, "1")
    assert (done.returncode, done.stderr) == (0, "")
    done = run("<&-", "exec", NAME, "-")
    assert (done.returncode, done.stderr) == (0, "")
    done = run(">/dev/full", "--json", "eval", NAME, "1")
    assert done.returncode and "error: No space left" in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_while_one_of_many_does_not_answer(board: RemoteBoard) -> None:
    with board.session() as session:
        parent = context.Context()
        parent._profile, parent._link = session.link.profile, session.link
        own = context.One(parent, f"{BASE}/gone", "gone", Collector(), "gone")
        own._open = Session(session.link, f"{BASE}/gone", KEY)  # it has said hello, and waits
        own.cancel()  # an exception would keep the others from being ended, and the failed from being remembered
        own._open.close()
