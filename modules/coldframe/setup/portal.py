"""The setup page while the access point is open: what it shows, what it takes."""

import asyncio
import json

from coldframe import clock, log
from micropython import const

from . import captivedns
from .accesspoint import AccessPoint
from .http import Refused, Server

_LOOK = const(500)  # ms
_REMIND = const(300)  # s between two lines on the console while nobody has joined
_GUEST = const(180)  # s after a request during which somebody who has joined is taken to be at work
_SEEN = const(12)  # s that the access point stays after the result was shown
_UNSEEN = const(120)  # s that it stays when nobody has asked for the result

_HTML = "text/html"
_JSON = "application/json"


class Portal:
    """The open access point with its name server and its page. ssid, password, address: how to get there."""

    def __init__(self, node):
        self.node = node
        self.log = log.getLogger("setup")
        self.trial = None
        self._done = None  # clock.seconds() of the end of the last trial
        self._asked = None  # clock.seconds() of the last request
        self._task = None

    async def run(self):
        """Open it, and return when it is closed again."""
        node = self.node
        ap = AccessPoint(node)
        server = Server(self.handle)
        names = None
        try:
            ap.open()
            self.ssid, self.password, self.address = ap.ssid, ap.password, ap.address
            await server.open(ap.address)
            names = asyncio.create_task(captivedns.serve(ap.address))
            self.log.warning("setup access point %s is open", ap.ssid)
            node.emit("setup", True)
            told = -_REMIND
            while not self._over():
                guests = ap.stations()
                if clock.seconds() - told >= _REMIND and not guests:
                    told = clock.seconds()
                    self.tell()
                self._hold(guests and self._asked is not None and clock.seconds() - self._asked < _GUEST)
                await asyncio.sleep_ms(_LOOK)
            self.log.info("setup access point closed")
        finally:
            self._hold(False)
            node.emit("setup", False)
            server.close()
            if names:
                names.cancel()
            if self._task:
                self._task.cancel()
            ap.close()
        if self.trial and self.trial.saved and self._done is not None:
            self.trial.use()

    def tell(self):
        """Print how to get to the page. Not through the log, which may be sent elsewhere: it has the password."""
        captured = log.ring.captured
        if captured:
            log.capture(False)
        try:
            print(
                'Setup: join the Wi-Fi network "%s" with the password "%s" and open http://%s/'
                % (self.ssid, self.password, self.address)
            )
        finally:
            if captured:
                log.capture()

    def _hold(self, on):
        # To try a known network moves the radio to its channel, and would throw out who is filling in the page.
        wifi = self.node.wifi
        if wifi.hold != bool(on):
            wifi.hold = bool(on)
            if not on:
                wifi.back()

    def _over(self):
        # Whether the access point can be closed.
        trial = self.trial
        if trial:
            if trial.busy:
                self._done = None
                return False
            if self._done is None:
                self._done = clock.seconds()
            wait = clock.seconds() - self._done
            if trial.saved:
                return wait >= (_SEEN if trial.seen else _UNSEEN)
            if wait < _UNSEEN and not trial.seen:
                return False
        from . import wanted

        return not wanted(self.node)

    # Requests

    async def handle(self, request):
        """See http.Server."""
        path = request.path
        self._asked = clock.seconds()
        if not self._ours(request.host) or request.method == "POST" and not self._own_origin(request):
            if request.method == "POST":
                raise Refused(403)
            return self._go("/")
        if request.method == "POST":
            if path == "/try":
                return self._begin(request)
            if path == "/save":
                return self._anyway(request)
            raise Refused(404)
        if path == "/":
            from coldframe_pages import SETUP

            return 200, _HTML, SETUP, "Content-Encoding: gzip\r\n"
        if path == "/state":
            return 200, _JSON, json.dumps(self._state()), ""
        if path in ("/networks", "/scan"):
            return 200, _JSON, json.dumps(await self._networks(path == "/scan")), ""
        if path == "/result":
            from .result import page

            body = page(self)
            self._saw()
            return 200, _HTML, body, ""
        if path == "/favicon.ico":
            raise Refused(404)
        return self._go("/")  # also where phones and computers look whether they are on the internet

    def _ours(self, host):
        host = host.lower()
        if host.endswith(":80"):
            host = host[:-3]
        return host == self.address

    def _own_origin(self, request):
        # A page from elsewhere can send a form here, but not without saying where it is from.
        origin = request.origin
        return not origin or origin.startswith("http://") and self._ours(origin[7:])

    def _go(self, path, status=302):
        return status, "", "", "Location: http://%s%s\r\n" % (self.address, path)

    async def _networks(self, fresh):
        # [[name, strength in dBm, how it is protected], ...], the strongest first, each name once.
        found = self.node.wifi.nearby(fresh)
        if hasattr(found, "send"):
            found = await found
        best = {}
        for ssid, rssi, security in found:
            if ssid and (ssid not in best or best[ssid][1] < rssi):
                best[ssid] = [ssid, rssi, security]
        return sorted(best.values(), key=lambda n: -n[1])[:24]

    def _state(self):
        # What the page shows. Never a password.
        from .trial import shown

        c = self.node.config
        trial = self.trial
        state = {
            "device": self.node.name,
            "ap": self.ssid,
            "name": c["name"] if c.given("name") else "",
            "host": shown(c["mqtt.host"]),
            "port": c["mqtt.port"] if c.given("mqtt.port") else "",
            "user": c["mqtt.user"] or "",
            "secret": c["mqtt.password"] is not None,
            "tls": c.given("mqtt.tls"),
            "base": c["mqtt.base"],
            "known": [n["ssid"] for n in c["wifi.networks"]],
            "trial": None,
        }
        if trial:
            state["trial"] = {
                "ssid": trial.ssid,
                "steps": trial.steps,
                "busy": trial.busy,
                "saved": trial.saved,
                "restart": trial.restart,
                "address": trial.address,
                "base": self.node.fill(c["mqtt.base"]),
            }
            self._saw()
        return state

    def _saw(self):
        if self.trial and not self.trial.busy and not self.trial.seen:
            self.trial.seen = True
            self._done = clock.seconds()

    def _begin(self, request):
        from .form import fields
        from .trial import Trial

        wants_json = request.accept.startswith(_JSON)
        if self.trial and self.trial.busy:
            return self._answer(wants_json, "a test is being made already; its result comes first")
        try:
            self.trial = Trial(self.node, fields(request.type, request.body))
        except ValueError as e:
            return self._answer(wants_json, str(e))
        self._done = None
        self._task = asyncio.create_task(self.trial.run())
        return self._answer(wants_json)

    def _anyway(self, request):
        wants_json = request.accept.startswith(_JSON)
        trial = self.trial
        if trial is None or trial.busy or trial.saved:
            return self._answer(wants_json, "there is nothing to be saved")
        trial.busy = True
        trial.seen = False
        self._done = None
        self._task = asyncio.create_task(trial.run(True))
        return self._answer(wants_json)

    def _answer(self, wants_json, error=""):
        if wants_json:
            return 400 if error else 200, _JSON, json.dumps({"error": error}), ""
        if not error:
            return self._go("/result", 303)
        from .result import wrong

        return 400, _HTML, wrong(error), ""
