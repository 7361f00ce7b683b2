"""Options of the tests."""

from __future__ import annotations

import signal

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """--full: the tests that have a size run at their full one, minutes each."""
    parser.addoption("--full", action="store_true", help="run the tests that have a size at their full one")


def pytest_configure() -> None:
    """Where the tests run in the background of a shell, Ctrl-C is ignored, and would be in all that they start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
