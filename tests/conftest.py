"""Options of the tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """--full: the tests that have a size run at their full one, minutes each."""
    parser.addoption("--full", action="store_true", help="run the tests that have a size at their full one")
