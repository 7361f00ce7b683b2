"""coldframe.mqtt.configured: what the configuration says about the brokers."""

import minitest
from coldframe import config, log
from coldframe.mqtt.configured import address, brokers

log.console(None)
try:
    from coldframe.mqtt import Tls
except ImportError:
    Tls = None


def _config(**mqtt):
    errors = []
    c = config.Config(config.check({"mqtt": mqtt}, errors))
    minitest.equal(errors, [])
    return c


def _brokers(**mqtt):
    found, user, password = brokers(_config(**mqtt))
    return [str(t) for t in found], user, password


def _tls(**mqtt):
    return [type(t).__name__ == "Tls" for t in brokers(_config(**mqtt))[0]]


def test_addresses():
    for text, expected in (
        ("h", (None, None, None, "h", None)),
        ("10.0.0.5", (None, None, None, "10.0.0.5", None)),
        ("h.example:1884", (None, None, None, "h.example", 1884)),
        ("mqtt://h", (False, None, None, "h", None)),
        ("MQTT://h:1884/", (False, None, None, "h", 1884)),
        ("mqtts://me@h", (True, "me", None, "h", None)),
        ("mqtts://me:p@ss:w@h:8884", (True, "me", "p@ss:w", "h", 8884)),
        ("mqtt://m%40x:%3a%C3%BC%zz@h", (False, "m@x", ":ü%zz", "h", None)),
        ("mqtt://u:@h", (False, "u", "", "h", None)),
        ("mqtt://[fe80::1]:1885", (False, None, None, "fe80::1", 1885)),
        ("fe80::1", (None, None, None, "fe80::1", None)),
    ):
        minitest.equal(address(text, "p"), expected)


def test_wrong_addresses_are_refused_without_their_password():
    for text in (
        "ws://u:secret@h",
        "http://h",
        "mqtt://",
        "mqtt://u:secret@",
        "mqtt://u:secret@h:x",
        "mqtt://u:secret@h:0",
        "mqtt://u:secret@h:70000",
        "mqtt://u:secret@h:",
        "mqtt://u:secret@h/path",
        "mqtt://u:secret@[::1]x",
        "a b",
        "://h",
    ):
        error = str(minitest.raises(ValueError, address, text, "mqtt.host"))
        assert error.startswith("mqtt.host: expected "), error
        assert "secret" not in error


def test_one_broker():
    minitest.equal(_brokers(host="h"), (["h:1883"], None, None))
    minitest.equal(_brokers(host="h", port=1884, user="u", password="p"), (["h:1884"], "u", "p"))
    minitest.equal(_brokers(host="mqtt://a:b@h:1885"), (["h:1885"], "a", "b"))
    minitest.equal(_brokers(host="mqtt://a:b@h:1885", port=7, user="u"), (["h:7"], "u", None))


def test_tls():
    if not Tls:
        error = minitest.raises(ValueError, _brokers, host="h", tls={})
        assert "image with TLS" in str(error)
        error = minitest.raises(ValueError, _brokers, host="mqtts://h")
        minitest.skip("this image has no TLS")
    minitest.equal(_brokers(host="h", tls={})[0], ["h:8883"])
    minitest.equal(_brokers(host="mqtts://h")[0], ["h:8883"])
    minitest.equal(_brokers(host="mqtts://h", tls={"ca": "/ca.der"}, port=1)[0], ["h:1"])
    error = minitest.raises(ValueError, _brokers, host="mqtt://h", tls={"ca": "/ca.der"})
    assert "mqtts://" in str(error)
    error = minitest.raises(ValueError, _brokers, host="h", tls={"cert": "/c.der"})
    assert "cert and key" in str(error)


def test_fallback_is_as_the_first_one_unless_it_says_otherwise():
    minitest.equal(
        _brokers(host="h", port=5, fallback=[{"host": "i"}, {"host": "j", "port": 6}])[0],
        ["h:5", "i:5", "j:6"],
    )
    error = minitest.raises(
        ValueError, _brokers, host="h", fallback=[{"host": "i"}, {"host": "mqtt://u:p@j"}]
    )
    minitest.equal(
        str(error), "mqtt.fallback[1].host: expected no user, as mqtt.user is used for all brokers"
    )
    if not Tls:
        return
    given = dict(
        host="h", tls={}, fallback=[{"host": "i"}, {"host": "mqtt://j"}, {"host": "k", "tls": {"ca": "/k"}}]
    )
    minitest.equal(_brokers(**given)[0], ["h:8883", "i:8883", "j:1883", "k:8883"])
    minitest.equal(_tls(**given), [True, True, False, True])
    given["port"] = 7
    minitest.equal(_brokers(**given)[0], ["h:7", "i:7", "j:1883", "k:7"])
    minitest.equal(_tls(host="h", fallback=[{"host": "mqtts://i"}, {"host": "j"}]), [False, True, False])


def test_example_of_the_design():
    errors = []
    config.check(
        {
            "mqtt": {
                "host": "10.0.0.5", "port": 8883, "user": "…", "password": "…", "tls": {"ca": "/ca.der"},
                "base": "home/{name}", "keepalive": 60, "version": 5, "fallback": [{"host": "10.0.0.6"}],
            }
        },
        errors,
    )  # fmt: skip
    minitest.equal(errors, [])


def test_wrong_values_do_not_show_a_password():
    for host in ("mqtt://u:secret@" + "h" * 300, "mqtt://u:secret@h\0"):
        errors = []
        config.check({"mqtt": {"host": host, "fallback": [{"host": host}]}}, errors)
        minitest.equal(len(errors), 2)
        assert "secret" not in str(errors), errors


minitest.run(globals())
