"""The world around the board, as NODE_DIR/sim/world.json scripts it. docs/simulator.md describes the file.

It is read at power-on and whenever it changes, and handed section by section to whoever plays that part.
"""

import json
import sys

import _simboard
import simulated

_SECTIONS = {
    "pins": dict, "wires": list, "adc": dict, "i2c": dict, "spi": dict, "uart": dict, "dht": dict, "wlan": str,
    "networks": list, "outage": bool, "stations": int, "hosts": dict, "listen": str, "speed": (int, float),
    "clock": str, "date": int, "timeline": list, "serial": int, "scan": int,
}  # fmt: skip
_NAMES = {dict: "an object in braces", list: "a list in brackets", str: "a text", bool: "true or false"}

data = {}
_players = {}  # section -> function(value or None), called at once and whenever the section changes
_timers = [None] * _simboard.TIMERS
_steps = []  # what is left of the timeline: (ms after the step before, patch)
_ticker = None
_started = False


def play(section, function):
    """Let function(value) follow a section of the world; value is None while the section is missing."""
    _players.setdefault(section, []).append(function)
    function(data.get(section))


def timer(function):
    """Reserve one of the board's timers for function(); returns its number for _simboard.timer()."""
    for n in range(len(_timers)):
        if _timers[n] is None:
            _timers[n] = function
            return n
    raise OSError(12, "all %d timers are in use" % len(_timers))


def release(n):
    """Stop a timer and give it back."""
    _simboard.timer(n, 0)
    _timers[n] = None


def complain(text):
    """Say what is wrong with the script, on the console and in state.json. The board itself goes on."""
    print("simulated board: " + text)
    _simboard.show("error", text)


def load():
    """Read world.json. A file that is wrong changes nothing."""
    try:
        with simulated.host.open("/world.json", "r") as f:
            new = json.load(f)
    except OSError:
        new = {}
    except ValueError:
        return complain("world.json is not valid JSON; the world stays as it was")
    wrong = _check(new)
    if wrong:
        return complain("world.json: " + wrong)
    _simboard.show("error", None)
    _timeline(new.get("timeline"))
    _become(new)
    _simboard.show("world", new.get("serial", 0))


def _check(new):
    # What is wrong with a world, None if nothing is; drops sections that are null.
    if not isinstance(new, dict):
        return "expected %s, got %r" % (_NAMES[dict], new)
    for key in list(new):
        value = new[key]
        if key not in _SECTIONS:
            return "unknown section %r; known: %s" % (key, ", ".join(sorted(_SECTIONS)))
        if value is None:
            del new[key]
        elif not isinstance(value, _SECTIONS[key]):
            return "%s: expected %s, got %r" % (key, _NAMES.get(_SECTIONS[key], "a number"), value)
    for entry in new.get("networks", ()):
        if not isinstance(entry, dict) or not isinstance(entry.get("ssid"), str):
            return 'networks: expected [{"ssid": "NAME", ...}, ...], got %r in it' % (entry,)
    if new.get("wlan", "on") not in ("on", "none", "stuck"):
        return 'wlan: expected "on", "none" or "stuck", got %r' % new["wlan"]
    return None


def _become(new):
    global data
    old = data
    data = new
    for section in _players:
        value = new.get(section)
        if value != old.get(section):
            for function in _players[section]:
                try:
                    function(value)
                except Exception as e:
                    complain("world.json: %s: %s" % (section, _reason(e)))


def _reason(e):
    if isinstance(e, ValueError) and e.args:
        return str(e.args[0])
    return "%s %s" % (type(e).__name__, e)


def _timeline(steps):
    # [{"at": ms since this file was read, SECTION: value, ...}, ...]
    global _ticker
    del _steps[:]
    if _ticker is not None:
        _simboard.timer(_ticker, 0)
    if not steps:
        return
    try:
        before = 0
        for step in sorted(steps, key=lambda s: s["at"]):
            _steps.append((step["at"] - before, {k: v for k, v in step.items() if k != "at"}))
            before = step["at"]
    except (KeyError, TypeError):
        del _steps[:]
        return complain('world.json: timeline: expected [{"at": milliseconds, SECTION: ...}, ...]')
    if _ticker is None:
        _ticker = timer(_step)
    _simboard.timer(_ticker, max(1, _steps[0][0]))


def _step():
    while _steps:
        _become(_merge(data, _steps.pop(0)[1]))
        if _steps and _steps[0][0] > 0:
            return _simboard.timer(_ticker, _steps[0][0])
    _simboard.show("timeline", "done")


def _merge(old, patch):
    # JSON merge patch (RFC 7386); never changes the old objects, so that changes can be seen.
    if not isinstance(patch, dict):
        return patch
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = _merge(new.get(key), value)
    return new


def _event(bits):
    if bits & 1:
        load()
    bits >>= 2
    n = 0
    while bits:
        if bits & 1 and _timers[n]:
            try:
                _timers[n]()
            except Exception as e:
                sys.print_exception(e)
        bits >>= 1
        n += 1


def _hosts(table):
    _simboard.forget_hosts()
    for name in table or ():
        _simboard.host(name, table[name] or "")


def _date(seconds):
    # A change sets the clock; what was there at a reset has set it before.
    if seconds is not None and (_started or simulated.reset_cause == 1):
        _simboard.set_clock(seconds)


def start():
    """Read the world for the first time, from then on follow it."""
    global _started
    play("speed", lambda v: _simboard.speed(1 if v is None else v))
    play("hosts", _hosts)
    play("date", _date)
    play("listen", lambda v: _simboard.listen("127.0.0.1" if v is None else v))
    load()
    _started = True
    _simboard.on_event(_event)
