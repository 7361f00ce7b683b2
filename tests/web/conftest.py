"""Debian's Chromium, driven by Playwright, against a simulated board whose network it has joined."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from host.simboards import image
from kit import host
from kit.simboard import SimBoard
from playwright.sync_api import Browser, Page, sync_playwright

PHONE = {"width": 390, "height": 844}


@dataclass
class Phone:
    """A browser in the network of a board, where every name is the board's address."""

    board: SimBoard
    browser: Browser
    received: list[bytes] = field(default_factory=list)  # the bodies of all replies

    def page(self, *, script: bool = True, width: int = PHONE["width"], dark: bool = False) -> Page:
        """A fresh page, as a phone has it."""
        context = self.browser.new_context(
            viewport={"width": width, "height": PHONE["height"]},
            java_script_enabled=script,
            color_scheme="dark" if dark else "light",
        )
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("requestfinished", self._keep)
        return page

    def _keep(self, request: Any) -> None:
        reply = request.response()
        if reply and reply.status == 200:
            self.received.append(reply.body())


@pytest.fixture(scope="session")
def chromium() -> str:
    """Its path."""
    return host.ensure({"chromium": "chromium"}, "the tests of the setup page")["chromium"]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    with sync_playwright() as driver:
        yield driver


@pytest.fixture
def join(tmp_path: Path, chromium: str, playwright: Any) -> Iterator[Callable[..., Phone]]:
    """Gives join(networks, config): a board with these networks in reach and its access point open, and a browser."""
    ends: list[Callable[[], None]] = []

    def join(networks: list[dict[str, Any]], config: dict[str, Any] | None = None) -> Phone:
        board = SimBoard(image(), tmp_path / f"node{len(ends)}", unique_id="00000000000000c0")
        ends.append(board.stop)
        if config:
            board.put("config.json", config)
        board.world(networks=networks)
        board.start()
        port = board.wait_state(lambda s: "port.80" in s and "port.udp.53" in s, 30)["port.80"]
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", f"--host-resolver-rules=MAP * 127.0.0.1:{port}"],
        )
        ends.append(browser.close)
        return Phone(board, browser)

    yield join
    for end in reversed(ends):
        end()
