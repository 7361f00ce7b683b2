"""The setup page as a person with a phone meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host.brokers import Mosquitto
from host.simboards import FARM
from kit.simboard import SimBoard
from playwright.sync_api import Page, expect
from web.conftest import Phone

PAGE = "http://192.168.4.1/"
Join = Callable[..., Phone]

expect.set_options(timeout=20_000)


def networks_of(board: SimBoard) -> list[str]:
    """The names of the networks in the board's file."""
    try:
        return [n["ssid"] for n in json.loads(board.get("config.json"))["wifi"]["networks"]]
    except (FileNotFoundError, KeyError):
        return []


def send(page: Page) -> None:
    """Press the button."""
    page.get_by_role("button", name="Test and save").click()


def step(page: Page, name: str) -> Any:
    """The line of the result about one thing."""
    return page.locator("#steps li", has_text=name)


def fill(page: Page, **fields: str) -> None:
    """Type into fields, by their ids."""
    for name, text in fields.items():
        page.locator(f"#{name}").fill(text)


def test_the_portal_opens_and_lists_the_networks(join: Join) -> None:
    evil = '<b onclick="x()">&amp;</b>'
    phone = join(
        [FARM, {"ssid": "Café am Markt", "rssi": -75}, {"ssid": evil, "password": "12345678", "rssi": -81}]
    )
    page = phone.page()
    for url in (
        "http://connectivitycheck.gstatic.com/generate_204",
        "http://captive.apple.com/hotspot-detect.html",
        "http://www.msftconnecttest.com/connecttest.txt",
        "http://detectportal.firefox.com/success.txt",
    ):
        page.goto(url)
        assert page.url == PAGE
    names = page.locator("#list button")
    expect(names).to_have_count(3)
    expect(names.nth(0)).to_have_attribute("aria-label", "Farm, signal 4 of 4, with password")
    expect(names.nth(1)).to_have_attribute("aria-label", "Café am Markt, signal 2 of 4, open")
    expect(names.nth(2)).to_contain_text(evil)
    names.nth(0).click()
    expect(page.get_by_label("Network name")).to_have_value("Farm")
    phone.board.world(networks=[FARM, {"ssid": "Later", "rssi": -50}])
    page.get_by_role("button", name="Look again").click()
    expect(names).to_have_count(2)


@pytest.mark.parametrize("width", [320, 390])
def test_it_fits_and_everything_has_a_name(join: Join, width: int) -> None:
    phone = join([FARM, {"ssid": "W" * 32, "password": "12345678"}])
    page = phone.page(width=width, dark=width == 390)
    page.goto(PAGE)
    expect(page.locator("#list button")).to_have_count(2)
    page.get_by_text("More about the broker").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    nameless = page.evaluate(
        """[...document.querySelectorAll('input:not([type=hidden]), button')]
        .filter(e => !(e.labels && e.labels.length) && !e.textContent.trim() && !e.getAttribute('aria-label'))
        .map(e => e.outerHTML)"""
    )
    assert nameless == []
    small = page.evaluate(
        """[...document.querySelectorAll('input:not([type=hidden]):not([type=checkbox]), button')]
        .filter(e => e.offsetParent && e.getBoundingClientRect().height < 40).map(e => e.outerHTML)"""
    )
    assert small == []
    # The keyboard alone will do.
    page.get_by_label("Network name").focus()
    page.keyboard.type("Nowhere")
    page.keyboard.press("Enter")
    expect(step(page, "Wi-Fi")).to_contain_text("not in reach")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    ("ssid", "password"),
    [
        ('Farm & "Söhne" <b>+%41 \'x', "p&q=r+s%20\"'<>\\ #;ä☃"),
        (" blanks ", "  two blanks and 🐑  "),
        ("🐑" * 8, "x" * 62 + "%"),
        ("{name}", "0123456789abcdefABCDEF" + "0" * 42),
        ("offen", ""),
    ],
    ids=["marks", "blanks", "sheep", "key", "open"],
)
def test_any_network(join: Join, ssid: str, password: str) -> None:
    phone = join([{"ssid": ssid, **({"password": password} if password else {})}])
    page = phone.page()
    page.goto(PAGE)
    fill(page, ssid=ssid, password=password)
    send(page)
    expect(page.locator("#title")).to_have_text("Done")
    expect(page.locator("#after b")).to_have_text(ssid)
    assert networks_of(phone.board) == [ssid]
    if password:
        assert password.encode() not in phone.board.get("config.json")
        assert not [body for body in phone.received if password.encode() in body]
    phone.board.world(speed=20)  # it waits some seconds until it closes
    phone.board.wait_for("joined")
    phone.board.wait_state(lambda s: "wlan.ap.ssid" not in s and s["wlan.state"] == "connected")


def test_wrong_password_then_right(join: Join) -> None:
    phone = join([FARM])
    page = phone.page()
    page.goto(PAGE)
    page.locator("#list button").first.click()
    fill(page, password="secret98")
    send(page)
    expect(step(page, "Wi-Fi")).to_contain_text("wrong password")
    expect(page.locator("#title")).to_have_text("Not saved yet")
    assert networks_of(phone.board) == []
    page.get_by_role("button", name="Change it").click()
    page.get_by_role("button", name="Show").first.click()
    expect(page.locator("#password")).to_have_attribute("type", "text")
    fill(page, password="short")
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("8 to 63")
    fill(page, password="secret99")
    send(page)
    expect(page.locator("#title")).to_have_text("Done")
    assert networks_of(phone.board) == ["Farm"]


def test_brokers(join: Join, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, users={"shed": "s&cret%+ü"}).start()
    try:
        phone = join([FARM])
        page = phone.page()
        page.goto(PAGE)
        page.locator("#list button").first.click()
        page.get_by_text("More about the broker").click()
        fill(
            page,
            password="secret99",
            name="greenhouse",
            host="127.0.0.1",
            user="shed",
            secret="wrong",
            port="9",
        )
        send(page)
        expect(step(page, "Wi-Fi")).to_contain_text("joined, with the address 10.77.")
        expect(step(page, "broker")).to_contain_text(
            "127.0.0.1:9 cannot be reached: nothing listens on that port"
        )
        page.get_by_role("button", name="Change it").click()
        fill(page, port=str(broker.port))
        send(page)
        expect(step(page, "broker")).to_contain_text("refused the connection")
        assert networks_of(phone.board) == []
        # The test has left nothing behind: the board is not in that network now.
        phone.board.wait_state(lambda s: s["wlan.state"] != "connected")
        page.get_by_role("button", name="Change it").click()
        fill(page, secret="s&cret%+ü")
        send(page)
        expect(page.locator("#title")).to_have_text("Done")
        expect(page.locator("#after")).to_contain_text("after a restart")
        # It has a new name, so it restarts; then it is there.
        phone.board.world(speed=20)
        phone.board.wait_for("greenhouse started", 30)
        phone.board.world(speed=1)
        phone.board.wait_for(f"127.0.0.1:{broker.port}: up", 30)
        assert phone.board.reset_cause() == "hard"
        written = json.loads(phone.board.get("config.json"))
        assert written["mqtt"]["password"].startswith("enc:")
        assert written["mqtt"]["port"] == broker.port
        assert "base" not in written["mqtt"]
    finally:
        broker.stop()


def test_save_anyway(join: Join) -> None:
    phone = join([FARM])
    page = phone.page()
    page.goto(PAGE)
    fill(page, ssid="Elsewhere", password="not here", host="10.0.0.5")
    send(page)
    expect(step(page, "Wi-Fi")).to_contain_text("not in reach")
    expect(step(page, "broker")).to_contain_text("not tried")
    assert networks_of(phone.board) == []
    page.get_by_role("button", name="Save anyway").click()
    expect(page.locator("#title")).to_have_text("Done")
    assert networks_of(phone.board) == ["Elsewhere"]


def test_the_phone_loses_the_network_during_the_test(join: Join) -> None:
    phone = join([{**FARM, "join": 4000}])
    page = phone.page()
    page.goto(PAGE)
    page.locator("#list button").first.click()
    fill(page, password="secret99")
    send(page)
    expect(step(page, "Wi-Fi")).to_contain_text("is being tried")
    page.route("**/state", lambda route: route.abort("addressunreachable"))
    expect(page.locator("#lost")).to_be_visible()
    expect(page.locator("#lost")).to_contain_text("coldframe-0000c0")
    page.unroute("**/state")
    expect(page.locator("#title")).to_have_text("Done")
    expect(page.locator("#lost")).to_be_hidden()


def test_the_result_is_there_for_a_page_that_was_opened_anew(join: Join) -> None:
    phone = join([FARM])
    page = phone.page()
    page.goto(PAGE)
    page.locator("#list button").first.click()
    fill(page, password="secret98")
    send(page)
    expect(page.locator("#result")).to_be_visible()
    page.close()
    again = phone.page()
    again.goto(PAGE)
    expect(step(again, "Wi-Fi")).to_contain_text("wrong password")


def test_without_javascript(join: Join) -> None:
    phone = join([{"ssid": "<i>Hof</i>", "password": "a+b&c%20d"}])
    page = phone.page(script=False)
    page.goto("http://anything.example/")
    assert page.url == PAGE
    fill(page, ssid="<i>Hof</i>", password="a+b&c%20x")
    send(page)
    expect(page.locator("li", has_text="Wi-Fi")).to_contain_text("wrong password")
    page.get_by_role("link", name="Change it").click()
    fill(page, ssid="x" * 33)
    send(page)
    expect(page.locator("body")).to_contain_text("expected a name of 1 to 32 bytes")
    page.get_by_role("link", name="Back").click()
    fill(page, ssid="<i>Hof</i>", password="a+b&c%20d")
    send(page)
    expect(page.locator("h1")).to_have_text("Saved")
    expect(page.locator("p b")).to_have_text("<i>Hof</i>")
    assert networks_of(phone.board) == ["<i>Hof</i>"]


def test_what_is_stored_is_kept(join: Join, tmp_path: Path) -> None:
    """A device that cannot reach its network any more: broker and base are shown, passwords are kept and not shown."""
    broker = Mosquitto(tmp_path, users={"shed": "old secret"}).start()
    mqtt = {
        "host": "127.0.0.1",
        "port": broker.port,
        "user": "shed",
        "password": "old secret",
        "base": "home/shed",
    }
    wifi = {"networks": [{"ssid": "Farm", "password": "secret99"}], "setup_ap": {"after": 10}}
    try:
        phone = join([{"ssid": "New", "password": "new secret"}], {"wifi": wifi, "mqtt": mqtt})
        page = phone.page()
        page.goto(PAGE)
        expect(page.get_by_label("Host name or address")).to_have_value("127.0.0.1")
        fill(page, ssid="New", password="new secret")
        send(page)
        expect(page.locator("#title")).to_have_text("Done")
        written = json.loads(phone.board.get("config.json"))
        assert [n["ssid"] for n in written["wifi"]["networks"]] == ["New", "Farm"]
        assert written["wifi"]["setup_ap"] == {"after": 10}
        assert written["mqtt"]["base"] == "home/shed"
        for secret in (b"old secret", b"secret99", b"new secret"):
            assert not [body for body in phone.received if secret in body]
        phone.board.world(speed=20)
        phone.board.wait_for("joined New", 30)
        phone.board.world(speed=1)
        phone.board.wait_for(": up", 30)
    finally:
        broker.stop()
