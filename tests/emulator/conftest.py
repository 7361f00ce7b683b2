"""Tests that boot a firmware file in the emulator.

The firmware is the one in dist/, the release that `python3 scripts/build.py RPI_PICO` makes;
COLDFRAME_TEST_IMAGE names another. Test functions may be coroutines.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is an emulator test (`pytest -m "not emulator"` leaves them out)."""
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.emulator)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "emulator: boots an image in the RP2040 emulator")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine on an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(scope="session")
def image() -> Path:
    """The firmware under test."""
    named = os.environ.get("COLDFRAME_TEST_IMAGE")
    if named:
        return Path(named)
    found = [
        path
        for path in sorted((ROOT / "dist").glob("coldframe-RPI_PICO-[0-9]*.uf2"))
        if not path.stem.endswith("-with-filesystem")
    ]
    if len(found) != 1:
        pytest.fail(
            f"expected one coldframe-RPI_PICO-VERSION.uf2 in dist/, found {len(found)}; "
            "make it with: python3 scripts/build.py RPI_PICO"
        )
    return found[0]
