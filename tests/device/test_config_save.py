"""coldframe.config.save(), passwords at rest, wifi.json: what is on the flash afterwards."""

import gc
import json
import sys

import minitest
from coldframe import config, hal, log, store

log.console(None)
PATH = "t_config.json"
FILES = (PATH, "t_config.bak", "t_config.broken", "wifi.json", "wifi.broken")


def _unique(number):
    # The chip's number is what the key is made of; on a bare machine it is zero.
    hal.unique_id = lambda: number


_unique(b"chip 0001")
from coldframe.secrets import can, decrypt, encrypt, hmac, is_sealed, url_password

AES = can()


def _clean(**files):
    for name in FILES:
        store.remove(name)
    for name in files:
        data = files[name]
        store.write(
            PATH if name == "config" else "wifi.json" if name == "wifi" else "t_config." + name,
            data if isinstance(data, (str, bytes)) else json.dumps(data),
        )


def _all():
    # Everything on the flash, in one string.
    return b"".join(store.read(name) or b"" for name in FILES)


def _needs_time():
    if sys.platform == "rp2":
        minitest.skip("16 KB of JSON take minutes in the emulator; the other targets have it")


def _needs_aes():
    if not AES:
        minitest.skip("this image has no AES")


def test_hmac():
    # RFC 4231, test cases 1, 2 and 6
    for key, data, expected in (
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ):
        minitest.equal(hmac(key, data).hex(), expected)


def test_sealed_texts():
    _needs_aes()
    for text in ("a", "x" * 15, "x" * 16, "\u00e9\u20ac" * 20, "enc:", 'q"\\/'):
        sealed = encrypt(text)
        assert is_sealed(sealed) and (len(text) < 9 or text not in sealed)
        minitest.equal(decrypt(sealed), text)
    if sys.platform != "rp2":  # the emulated ring oscillator gives the same "random" bit for ever
        assert encrypt("a") != encrypt("a")
    sealed = encrypt("secret")
    for n in range(4, len(sealed), 9):
        broken = sealed[:n] + ("A" if sealed[n] != "A" else "B") + sealed[n + 1 :]
        minitest.equal(decrypt(broken), None)
    for broken in (sealed[:-1], sealed[:-4], sealed + "AAAA", "enc:" + "A" * 60, "enc:", "enc:\u00e9"):
        minitest.equal(decrypt(broken), None)
    assert not is_sealed("enc:hunter2") and not is_sealed("") and not is_sealed(None)
    _unique(b"chip 0002")
    minitest.equal(decrypt(sealed), None)
    _unique(b"chip 0001")
    minitest.equal(decrypt(sealed), "secret")


def test_the_format_stays():
    # Sealed by the first version: what is on the devices must open for ever.
    _needs_aes()
    minitest.equal(decrypt(FIRST), "hunter2 \u00e9")


FIRST = "enc:AS6oUYxvJQ1-UpJ87-b6PxeW0iRZz1DcqsqLYn8ZEwl5YArNs_Q2YdB02bxV"


def test_urls():
    for url, password in (
        ("h", None),
        ("mqtt://h:1", None),
        ("mqtt://u@h:1", None),
        ("mqtts://u:p:q@x@h:1", "p:q@x"),
        ("u:p@h", "p"),
    ):
        spot = url_password(url)
        minitest.equal(spot and url[spot[0] : spot[1]], password)


WRITTEN = """\
{
\t"name":   "shed", "unknown": {"password": "left"},
  "wifi": {"networks": [{"ssid": "A", "password": "pass A"}, {"password": "p\\u00e4ss B", "ssid": "B"},
                        {"ssid": "open", "password": ""}, {"ssid": "C", "p\\u0061ssword": "pass C"}]},
  "mqtt": {"password": "pa\\"ss D", "user": "u", "host": "mqtt://me:pass%20E@h",
           "fallback": [{"host": "mqtt://pass@i"}, {"host": "mqtt://x:pass F@i"}]}
}
"""


def test_what_the_user_wrote_is_encrypted_and_else_left_alone():
    _needs_aes()
    _clean(config=WRITTEN, bak=WRITTEN)
    c, errors = config.load(PATH)
    minitest.equal(errors, ["unknown: unknown key"])
    for _ in range(2):  # as read from the plain text, and from the encrypted one
        minitest.equal(
            [n.get("password") for n in c["wifi.networks"]], ["pass A", "p\u00e4ss B", "", "pass C"]
        )
        minitest.equal((c["mqtt.password"], c["mqtt.host"]), ('pa"ss D', "mqtt://me:pass%20E@h"))
        minitest.equal([b["host"] for b in c["mqtt.fallback"]], ["mqtt://pass@i", "mqtt://x:pass F@i"])
        c = config.load(PATH)[0]
    flash = _all()
    for word in (b"pass A", b"ss B", b"pass C", b"ss D", b"pass%20E", b"pass F"):
        assert word not in flash, word
    new = store.read(PATH).decode()
    old = WRITTEN
    while "enc:" in new:  # the rest of the text is the same
        i = new.find("enc:")
        assert new[:i] == old[:i]
        end = min(n for n in (new.find('"', i), new.find("@", i)) if n > 0)
        plain = decrypt(new[i:end])
        dumped = [p for p in (json.dumps(plain)[1:-1], "p\\u00e4ss B") if old[i:].startswith(p)]
        new = new[:i] + dumped[0] + new[end:]
    minitest.equal(new, old)
    before = store.read(PATH)
    config.load(PATH)
    minitest.equal(store.read(PATH), before)
    config.keep_good(PATH)
    minitest.equal(store.read("t_config.bak"), before)
    _clean()


def test_another_chip():
    _needs_aes()
    _clean(config=WRITTEN)
    config.load(PATH)
    before = store.read(PATH)
    _unique(b"chip 0002")
    c, errors = config.load(PATH)
    _unique(b"chip 0001")
    tail = ": expected a password that was encrypted on this chip, got another; write it again"
    for path in ("mqtt.password", "mqtt.host", "mqtt.fallback[1].host"):
        assert path + tail in errors, errors
    # Not joined without its password: it would be another network of that name.
    minitest.equal(c["wifi.networks"], [{"ssid": "open", "password": ""}])
    minitest.equal((c["mqtt.password"], c["mqtt.host"], c["mqtt.user"]), (None, None, "u"))
    minitest.equal(store.read(PATH), before)  # the first chip may come back
    _unique(b"chip 0002")
    minitest.equal(config.save({"mqtt": {"password": "new"}}, PATH), [])
    c, errors = config.load(PATH)
    _unique(b"chip 0001")
    minitest.equal(c["mqtt.password"], "new")
    minitest.equal(len(config.load(PATH)[0]["wifi.networks"]), 4)
    _clean()


def test_no_room_to_encrypt():
    _needs_aes()
    _needs_time()
    text = json.dumps({"wifi": {"networks": [{"ssid": "A", "password": "hunter2"}]}, "pad": ""})
    text = text.replace('""', '"%s"' % ("x" * (16384 - len(text))))
    _clean(config=text)
    c, errors = config.load(PATH)
    if "too large for the memory" in str(errors):  # on the smallest target
        minitest.skip("no memory")
    minitest.equal(
        errors[0],
        PATH + ": its passwords stay readable, encrypted ones would make it longer than 16384 bytes",
    )
    minitest.equal(c["wifi.networks"], [{"ssid": "A", "password": "hunter2"}])
    _clean()


def test_save_merges():
    _clean(config={"name": "a", "mqtt": {"host": "h", "port": 1}, "log": {"level": "DEBUG"}, "unknown": 1})
    minitest.equal(
        config.save({"mqtt": {"port": None, "user": "u"}, "log": None, "sysinfo": {"every": 9}}, PATH), []
    )
    expected = {"name": "a", "mqtt": {"host": "h", "user": "u"}, "unknown": 1, "sysinfo": {"every": 9}}
    minitest.equal(json.loads(store.read(PATH)), expected)
    minitest.equal(
        store.read(PATH),
        b'{\n  "name": "a",\n  "mqtt": {"host": "h", "user": "u"},\n  "sysinfo": {"every": 9},\n  "unknown": 1\n}\n',
    )
    _clean()
    minitest.equal(config.save({"name": "first"}, PATH), [])
    minitest.equal(json.loads(store.read(PATH)), {"name": "first"})
    minitest.equal(config.save({"name": None}, PATH), [])
    minitest.equal(json.loads(store.read(PATH)), {})
    _clean()


def test_save_refuses_the_whole_for_one_wrong_value():
    _clean(config={"name": "a", "mqtt": {"port": "wrong already"}})
    before = store.read(PATH)
    for changes, expected in (
        ({"name": "b", "mqtt": {"keepalive": 0}}, "mqtt.keepalive: expected 5 to 65535, got 0"),
        ({"name": "b", "nmae": "c"}, "nmae: unknown key, did you mean name?"),
        ({"wifi": {"networks": [{"password": "p"}]}}, "wifi.networks[0].ssid: expected a value, got nothing"),
        ({"name": float("nan")}, None),
        ([], "expected an object {...} with the changes"),
        (None, "expected an object {...} with the changes"),
    ):
        errors = config.save(changes, PATH)
        assert len(errors) == 1 and expected in (None, errors[0]), errors
        minitest.equal(store.read(PATH), before)
    # What was wrong before is no reason not to write what is right.
    minitest.equal(config.save({"name": "b"}, PATH), [])
    minitest.equal(json.loads(store.read(PATH)), {"name": "b", "mqtt": {"port": "wrong already"}})
    _clean()


def test_save_too_deep_or_too_large():
    _needs_time()
    _clean(config={"name": "a"})
    before = store.read(PATH)
    deep = {}
    for _ in range(200):
        deep = {"x": deep}
    assert len(config.save({"mqtt": {"host": deep}}, PATH)) == 1
    try:
        large = [{"ssid": "network %d" % n, "address": {"ip": "192.168.100.100"}} for n in range(250)]
    except MemoryError:
        minitest.skip("no memory")
    errors = config.save({"wifi": {"networks": large}}, PATH)
    assert len(errors) == 1 and ("16384 bytes" in errors[0] or "memory" in errors[0]), errors
    minitest.equal(store.read(PATH), before)
    _clean()


def test_save_encrypts_and_keeps_what_is_the_same():
    _needs_aes()
    _clean(bak={"mqtt": {"password": "old secret"}})
    mine = [{"ssid": "A", "password": "pass A"}]
    minitest.equal(config.save({"wifi": {"networks": mine}, "mqtt": {"password": "pass D"}}, PATH), [])
    minitest.equal(mine, [{"ssid": "A", "password": "pass A"}])  # the caller's list is still his
    assert b"pass" not in store.read(PATH).replace(b"password", b""), store.read(PATH)
    assert b"old secret" not in _all()
    before = store.read(PATH)
    mine.append({"ssid": "B", "password": "pass D"})
    minitest.equal(config.save({"wifi": {"networks": mine}}, PATH), [])
    first = json.loads(before)
    after = json.loads(store.read(PATH))
    minitest.equal(after["mqtt"], first["mqtt"])
    minitest.equal(after["wifi"]["networks"][0], first["wifi"]["networks"][0])
    c = config.load(PATH)[0]
    minitest.equal(c["wifi.networks"], mine)
    before = store.read(PATH)
    minitest.equal(
        config.save({"wifi": {"networks": c["wifi.networks"]}, "mqtt": c["mqtt"]._data["mqtt"]}, PATH), []
    )
    minitest.equal(store.read(PATH), before)
    _clean()


def test_save_over_a_broken_file():
    _clean(config='{"mqtt": {"password": "hunter2",}', bak={"name": "good"})
    config.load(PATH)
    minitest.equal(config.save({"sysinfo": {"every": 9}}, PATH), [])
    minitest.equal(json.loads(store.read(PATH)), {"name": "good", "sysinfo": {"every": 9}})
    minitest.equal(store.read("t_config.broken"), b'{"mqtt": {"password": "*******",}')
    _clean()


def test_save_keeps_what_it_does_not_know():
    _clean(config='{"a": {"\\ud800b": ["\\udfff", "\\u0000", 1.5, null, {}]}}')
    minitest.equal(config.save({"name": "x"}, PATH), [])
    minitest.equal(
        store.read(PATH),
        b'{\n  "name": "x",\n  "a": {"\\ud800b": ["\\udfff", "\\u0000", 1.5, null, {}]}\n}\n',
    )
    _clean()


def test_save_over_a_file_that_is_too_large():
    _clean()

    def large(f):
        for _ in range(170):
            f.write(" " * 100)

    store.write(PATH, large)
    minitest.equal(config.save({"name": "a"}, PATH), [])
    minitest.equal(json.loads(store.read(PATH)), {"name": "a"})
    _clean()


def test_only_what_was_loaded_becomes_the_good_copy():
    _clean(config={"name": "a"})
    config.load(PATH)
    config.save({"name": "b"}, PATH)  # nobody knows yet whether the device lives with it
    config.keep_good(PATH)
    assert not store.exists("t_config.bak")
    config.load(PATH)
    config.keep_good(PATH)
    minitest.equal(json.loads(store.read("t_config.bak")), {"name": "b"})
    config.save({"name": "c"}, PATH)
    minitest.equal(config.load(PATH)[0].name, "c")
    minitest.equal(config.load(PATH, good=True)[0].name, "b")
    config.keep_good(PATH)
    minitest.equal(json.loads(store.read("t_config.bak")), {"name": "b"})
    _clean()


def test_no_password_in_a_broken_copy():
    for text in (
        '{"password": "hunter2",}',
        '{"password":"hunter2"',
        '{"password" : "hunter2\n',
        "{'password': 'hunter2'}}",
        "{password: hunter2}",
        "password = hunter2",
        '{"password"\n:\n"hunter2" x',
        '{"password": "a"hunter2"}',
        '{"password": "hunter2", "password": "hunter2"',
        '{"mqtt": {"host": "mqtt://me:hunter2@h"',
        '{"mqtt": {"host": mqtt://me:a@hunter2@h}',
    ):
        _clean(config=text)
        config.load(PATH)
        kept = store.read("t_config.broken")
        assert len(kept) == len(text) and b"hunter2" not in kept and b"*******" in kept, kept
    _clean(wifi='{"Farm: \\"1": "hunter2", "B" "hunter2", "C" : "hunter2"')
    config.load(PATH)
    _clean(wifi='{"Farm": "hunter2",\n "C" : "hunter2"]')
    errors = config.load(PATH)[1]
    minitest.equal(errors, ["wifi.json: not JSON, line 2: expected a comma or }, got ]"])
    minitest.equal(store.read("wifi.broken"), b'{"Farm": "*******",\n "C" : "*******"]')
    assert not store.exists("wifi.json") and not store.exists(PATH)
    _clean()


def test_wifi_json():
    _clean(
        config={
            "name": "a",
            "wifi": {"networks": [{"ssid": "A", "password": "old"}, {"ssid": "B", "password": "b"}]},
        },
        wifi={"A": "new", '\u00e9 "': "x\\", "B": None, "D": ""},
    )
    c, errors = config.load(PATH)
    minitest.equal(errors, [])
    expected = [
        {"ssid": "A", "password": "new"},
        {"ssid": "B"},
        {"ssid": "D"},
        {"ssid": '\u00e9 "', "password": "x\\"},
    ]
    minitest.equal((c.name, c["wifi.networks"]), ("a", expected))
    assert not store.exists("wifi.json") and not store.exists("wifi.broken")
    minitest.equal(config.load(PATH)[0]["wifi.networks"], expected)
    _clean(wifi={"A": "first"})
    minitest.equal(config.load(PATH)[0]["wifi.networks"], [{"ssid": "A", "password": "first"}])
    if AES:
        assert b"first" not in _all()
    minitest.equal(config.load(PATH)[0]["wifi.networks"], [{"ssid": "A", "password": "first"}])
    _clean()


def test_wifi_json_beside_the_last_good_copy():
    _clean(config={"name": "new"}, bak={"name": "good"}, wifi={"A": "a"})
    c, errors = config.load(PATH, good=True)
    minitest.equal((c.name, c["wifi.networks"]), ("good", [{"ssid": "A", "password": "a"}]))
    assert not store.exists("wifi.json")
    c, errors = config.load(PATH)
    minitest.equal((c.name, c["wifi.networks"]), ("new", [{"ssid": "A", "password": "a"}]))
    _clean()


def test_wifi_json_with_mistakes():
    _clean(wifi={"A": "good", "": "x", "B": 5, "C": "p" * 65, "D" * 33: "x"})
    c, errors = config.load(PATH)
    minitest.equal(
        sorted(errors),
        [
            "wifi.json: B: expected a password of up to 64 bytes",
            "wifi.json: C: expected a password of up to 64 bytes",
            "wifi.json: expected a name of 1 to 32 bytes, got 0",
            "wifi.json: expected a name of 1 to 32 bytes, got 33",
        ],
    )
    minitest.equal(c["wifi.networks"], [{"ssid": "A", "password": "good"}])
    assert not store.exists("wifi.json") and b"good" not in store.read("wifi.broken")
    for text in ("[]", "5", "", "{", b"\xff", "null", '{"A":'):
        _clean(wifi=text)
        errors = config.load(PATH)[1]
        assert len(errors) == 1 and errors[0].startswith("wifi.json: "), (text, errors)
        assert not store.exists("wifi.json") and store.exists("wifi.broken")
    _clean()


def test_wifi_json_waits_for_a_broken_configuration():
    _clean(
        config="{", bak={"wifi": {"networks": [{"ssid": "A", "password": "a"}]}}, wifi={"B": "b", "A": "c"}
    )
    for _ in range(2):
        c, errors = config.load(PATH)
        assert "wifi.json: its networks wait until t_config.json is JSON" in errors, errors
        minitest.equal(
            sorted([n["ssid"], n["password"]] for n in c["wifi.networks"]), [["A", "c"], ["B", "b"]]
        )
        assert store.exists("wifi.json")
    _clean()


def test_nothing_stays_in_memory():
    config.load(PATH)
    config.save({"name": "a"}, PATH)
    config.check({"mqtt": {"password": "enc:" + "A" * 60}}, [])
    for name in sys.modules:
        assert name != "coldframe.secrets"
        assert not name.startswith("coldframe.config") or name == "coldframe.config", name
    gc.collect()
    before = gc.mem_alloc()
    config.load(PATH)
    config.save({"name": "b"}, PATH)
    gc.collect()
    assert gc.mem_alloc() - before < 128, gc.mem_alloc() - before
    _clean()


minitest.run(globals())
