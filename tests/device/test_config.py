"""coldframe.config: one table, clear errors, and no file that keeps a device from starting."""

import json
import time

import minitest
from coldframe import config, store

PATH = "t_config.json"


def _load(text):
    if not isinstance(text, (str, bytes)):
        text = json.dumps(text)
    store.write(PATH, text)
    return config.load(PATH)


def _clean():
    for name in (PATH, "t_config.bak", "t_config.broken"):
        store.remove(name)


def _errors(data):
    errors = []
    config.check(data, errors)
    return sorted(errors)


def test_no_file_is_no_error():
    _clean()
    c, errors = config.load(PATH)
    minitest.equal(errors, [])
    minitest.equal(c["mqtt.port"], 1883)
    minitest.equal(c.mqtt.port, 1883)
    minitest.equal(c["mqtt.host"], None)
    assert not store.exists("t_config.broken")


def test_values_and_defaults():
    c, errors = _load(
        {"name": "shed", "mqtt": {"host": "h", "serial": {"uart": 1}}, "sysinfo": {"every": 25}}
    )
    minitest.equal(errors, [])
    minitest.equal((c.name, c["mqtt.host"], c["mqtt.port"], c["sysinfo.every"]), ("shed", "h", 1883, 25))
    minitest.equal((c["mqtt.serial.uart"], c["mqtt.serial.baud"], c.mqtt.serial.tx), (1, 115200, None))
    assert c.given("mqtt.serial") and not c.given("mqtt.port")
    minitest.raises(KeyError, lambda: c["mqtt.colour"])
    minitest.raises(AttributeError, lambda: c.mqtt.colour)
    minitest.equal(c.get("mqtt.colour", 7), 7)
    minitest.equal(c.get("mqtt.user", "nobody"), "nobody")
    _clean()


def test_wrong_values_are_named_and_replaced():
    data = {"mqtt": {"port": "x", "host": 5}, "log": {"level": "LOUD"}, "watchdog": {"timeout": True}}
    minitest.equal(
        _errors(data),
        [
            'log.level: expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL, got "LOUD"',
            "mqtt.host: expected a text, got 5",
            'mqtt.port: expected 1 to 65535, got "x"',
            "watchdog.timeout: expected 0 to 3600, got true",
        ],
    )
    c = config.Config(data)
    minitest.equal((c["mqtt.port"], c["mqtt.host"], c["log.level"]), (1883, None, "INFO"))


def test_limits():
    for value, good in ((1, True), (65535, True), (0, False), (65536, False), (1.5, False), (None, True)):
        minitest.equal(_errors({"mqtt": {"port": value}}) == [], good)
    for value, good in (("a", True), ("", False), ("a\0", False), ("\ud800", False), ("\u00e9" * 32, False)):
        minitest.equal(_errors({"name": value}) == [], good)
    for value, good in (("NO", True), ("N", False), ("NOR", False)):
        minitest.equal(_errors({"wifi": {"country": value}}) == [], good)


def test_unknown_keys():
    minitest.equal(_errors({"mqtt": {"hosst": "a"}}), ["mqtt.hosst: unknown key, did you mean mqtt.host?"])
    minitest.equal(_errors({"mqt": {"host": "a"}}), ["mqt: unknown key, did you mean mqtt?"])
    minitest.equal(_errors({"elephant": 1}), ["elephant: unknown key"])
    minitest.equal(
        _errors({"mqtt.port": 1}),
        ['mqtt.port: expected sections one in another, such as {"mqtt": {"port": 1883}}'],
    )


def test_every_kind():
    import coldframe.configcheck

    configcheck = coldframe.configcheck

    rows = (
        ("num", "num", 2.5, (0, 10)),
        ("texts", "strs", (), (1, 3)),
        ("whole", "ints", (), (-1, 300)),
        ("numbers", "nums", None, ()),
        ("own", "free", None, ()),
        ("thing", "any", None, ()),
        ("mode", "str", "normal", ("normal", "battery")),
    )
    before = configcheck.KEYS, config.KEYS
    configcheck.KEYS = config.KEYS = rows
    try:
        for good in (
            {"num": 3},
            {"num": 0.5},
            {"texts": []},
            {"texts": ["a", "abc"]},
            {"whole": [-1, 300]},
            {"numbers": [1, 2.5]},
            {"own": {"a": {"b": [1, {"c.d": None}]}}},
            {"thing": [1, "two"]},
            {"thing": 5},
        ):
            data = dict(good)
            errors = []
            minitest.equal((configcheck.check(data, errors), errors), (good, []))
        c = config.Config(configcheck.check({"own": {"a": {"b": 1}}, "mode": "Battery", "whole": [3.0]}, []))
        minitest.equal((c["own"], c["own.a"], c.mode), ({"a": {"b": 1}}, {"b": 1}, "battery"))
        minitest.equal((c["num"], c["texts"], c.whole), (2.5, (), [3]))
        for bad, expected in (
            ({"num": 11}, "num: expected 0 to 10, got 11"),
            ({"num": "a"}, 'num: expected 0 to 10, got "a"'),
            ({"num": float("inf")}, "num: expected 0 to 10, got inf"),
            ({"texts": "abc"}, 'texts: expected a list [...], got "abc"'),
            ({"texts": ["a", "abcd"]}, 'texts[1]: expected 1 to 3 bytes, got "abcd"'),
            ({"whole": [1.5]}, "whole[0]: expected -1 to 300, got 1.5"),
            ({"numbers": [True]}, "numbers[0]: expected a number, got true"),
            ({"own": 3}, "own: expected an object {...}, got 3"),
            ({"own": {"a": [float("nan")]}}, "own: expected whole characters and numbers that "
             "are numbers in it, got an object {...}"),
            ({"mode": "x"}, 'mode: expected one of normal, battery, got "x"'),
        ):  # fmt: skip
            errors = []
            configcheck.check(bad, errors)
            minitest.equal((errors, bad), ([expected], {}))
    finally:
        configcheck.KEYS, config.KEYS = before


def test_wrong_kinds():
    minitest.equal(
        _errors({"mqtt": 5, "wifi": {"networks": {"a": "b"}}, "log": []}),
        [
            "log: expected an object {...}, got a list [...]",
            "mqtt: expected an object {...}, got 5",
            "wifi.networks: expected a list [...], got an object {...}",
        ],
    )


def test_a_wrong_network_does_not_cost_the_others():
    data = {
        "wifi": {"networks": [{"ssid": "A", "password": "p"}, {"sid": "B"}, 3, {"ssid": "C", "password": 4}]}
    }
    minitest.equal(
        _errors(data),
        [
            "wifi.networks[1].sid: unknown key, did you mean wifi.networks[1].ssid?",
            "wifi.networks[1].ssid: expected a value, got nothing",
            "wifi.networks[2]: expected an object {...}, got 3",
            "wifi.networks[3].password: expected a text, got something else",
        ],
    )
    minitest.equal(config.Config(data)["wifi.networks"], [{"ssid": "A", "password": "p"}])


def test_no_password_in_an_error():
    # Also where the slip is one level higher, so that the password is not under its own name.
    for data in (
        {"mqtt": {"password": ["hunter2"]}},
        {"mqtt": "hunter2"},
        {"mqtt": {"host": {"password": "hunter2"}}},
        {"wifi": {"networks": {"ssid": "A", "password": "hunter2"}}},
        {"wifi": {"networks": [["A", "hunter2"]]}},
        {"wifi": {"networks": ["hunter2"]}},
        {"wifi": [{"ssid": "A", "password": "hunter2"}]},
    ):
        errors = _errors(data)
        assert len(errors) == 1 and "hunter2" not in errors[0], errors


def test_deep_nesting():
    _clean()

    def deep(f):
        f.write('{"name": "a", "mqtt": {"port": ')
        for _ in range(1000):
            f.write("[[[[")
        for _ in range(1000):
            f.write("]]]]")
        f.write("}}")

    store.write(PATH, deep)
    c, errors = config.load(PATH)
    if "too large for the memory" not in errors[0]:  # on the smallest target
        assert errors[0].startswith(PATH + ": not JSON, line 1: expected at most 20 objects or lists"), errors
    assert c["mqtt.port"] == 1883
    _clean()


def test_the_number_of_errors_is_limited():
    c = {"key%d" % n: 1 for n in range(60)}
    c["name"] = "a"
    errors = []
    config.check(c, errors)
    minitest.equal(c, {"name": "a"})
    minitest.equal((len(errors), errors[-1]), (9, "and more errors, which are not shown"))


def test_broken_files():
    for text in (
        "",
        "{",
        '{"name":"a"',
        "{'name': 1}",
        '{"name":"a"}}',
        "[1]",
        "null",
        b"\xff\xfe\x00",
        "\x00",
    ):
        _clean()
        c, errors = _load(text)
        assert errors[0].startswith(PATH + ": ") and " expected " in errors[0], errors
        minitest.equal(c["mqtt.port"], 1883)
        assert store.same(PATH, "t_config.broken"), text
    _clean()


def test_where_a_file_is_broken():
    for text, expected in (
        ('{"a": "\\"", "b": 1', "line 1: expected a comma or }, got the end of the file"),
        ('{"a": 1}}', "line 1: expected the end of the file, got }"),
        ('{"a": "x,\n}', 'line 1: expected " before the end of the line'),
        ('{"\u00e9": "\u20ac"\n"b": 1', 'line 2: expected a comma or }, got "'),
        ('{"a": [1,\n2,]', "line 2: expected a value, got ]"),
        ("{\n\n# note\n}", 'line 3: expected a "key" or }, got #'),
        ('{"a":\n hunter2}', "line 2: expected a value, got something else"),
        ('{"a" 1}', "line 1: expected a colon, got something else"),
        ('{"a":}', "line 1: expected a value, got }"),
        ('{"a": 01}', "line 1: expected a number such as 12 or -0.5"),
        ('{"a": -.5}', "line 1: expected a number such as 12 or -0.5"),
        ('{"a": %s}' % ("9" * 50), "line 1: expected a number such as 12 or -0.5"),
        ('{"a": NaN}', "line 1: expected a value, got something else"),
        ('{"a": "\\x"}', "line 1: expected \\\\ for a backslash in a text"),
        ('{"a": "\\u12g4"}', "line 1: expected four hexadecimal digits after \\u"),
        ('{"a": "\x01"}', "line 1: expected a text without control characters"),
        ('{"a": 1}\0', "line 1: expected the end of the file, got something else"),
        (b'{"a": "\xff"}', "expected UTF-8 text, got other bytes"),
    ):
        _clean()
        errors = _load(text)[1]
        minitest.equal(errors[0].replace("; read as well as possible", ""), PATH + ": not JSON, " + expected)
    _clean()


def test_what_is_almost_json_is_better_than_nothing():
    _clean()
    c, errors = _load('{"name": "a", "mqtt": {"host": "h",},}')
    minitest.equal((c.name, c["mqtt.host"]), ("a", "h"))
    minitest.equal(errors, [PATH + ': not JSON, line 1: expected a "key", got }; read as well as possible'])
    c, errors = _load('{1: 2, "name": "a"}')
    minitest.equal((c.name, errors[1:]), ("a", ["1: expected a key in quotation marks"]))
    store.write("t_config.bak", '{"name": "good"}')
    c, errors = _load('{"name": "a", "mqtt": {"host": "h",},}')
    minitest.equal((c.name, c["mqtt.host"]), ("good", None))
    _clean()


def test_a_key_that_is_given_twice():
    c, errors = _load('{"mqtt": {"port": 1}, "name": "a", "mqtt": {"port": 2}}')
    minitest.equal(errors, [PATH + ": mqtt is given twice; the last one counts"])
    minitest.equal(c["mqtt.port"], 2)
    _clean()


def test_a_large_file_takes_no_longer_per_byte():
    from coldframe.configscan import scan

    def best(count):
        text = b"[" + b",".join([b'{"a%d":"b"}' % n for n in range(count)]) + b"]"
        took = []
        for _ in range(3):
            start = time.ticks_us()
            scan(text, None, [])
            took.append(time.ticks_diff(time.ticks_us(), start))
        return min(took)

    small = best(20)
    large = best(200)
    assert large < 40 * small, (small, large)  # 10 times; it would be 100 times


def test_too_large_a_file():
    _clean()

    def large(f):
        f.write('{"name": "a"}')
        for _ in range(128):
            f.write(" " * 128)

    store.write(PATH, large)
    _, errors = config.load(PATH)
    minitest.equal(errors, ["t_config.json: expected at most 16384 bytes, got 16397"])
    _clean()


def test_windows_editors():
    c, errors = _load(b'\xef\xbb\xbf{"name": "a"}')
    minitest.equal((c.name, errors), ("a", []))
    _clean()


def test_last_good_copy():
    _clean()
    _load({"name": "good"})
    config.keep_good(PATH)
    c, errors = _load('{"name": ')
    minitest.equal(c.name, "good")
    minitest.equal(len(errors), 1)
    assert errors[0].endswith("; using t_config.bak"), errors
    minitest.equal(store.read("t_config.broken"), b'{"name": ')
    config.keep_good(PATH)  # the broken one is no good copy
    minitest.equal(json.loads(store.read("t_config.bak")), {"name": "good"})
    _clean()


def test_broken_copy_too():
    _load("{")
    store.write("t_config.bak", "}")
    c, errors = config.load(PATH)
    minitest.equal(c["mqtt.port"], 1883)
    minitest.equal(len(errors), 2)
    _clean()


def test_the_table_agrees_with_itself():
    from coldframe.configkeys import KEYS
    from coldframe.configcheck import _value

    names = [row[0] for row in KEYS]
    minitest.equal(len(names), len(set(names)))
    for path, kind, default, limits in KEYS:
        plain = kind.rstrip("!*@")
        assert plain in (
            "str",
            "int",
            "num",
            "bool",
            "strs",
            "ints",
            "nums",
            "list",
            "dict",
            "free",
            "any",
        ), path
        if default not in (None, ()):
            minitest.equal(_value(default, (path, kind, default, limits)), (None, default))


minitest.run(globals())
