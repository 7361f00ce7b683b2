"""/wifi.json, {"SSID": "password", …}: taken into wifi.networks, then deleted."""

from . import store
from .configload import parse, raw


def take_in(path, wifi, good, errors):
    """Take wifi.json into the configuration.

    path: of the configuration; wifi: of wifi.json; good: whether the last good copy will be used all the same. A text
    for everything wrong is added to errors. The file is deleted when its networks are safely in the configuration; one
    with mistakes is kept as wifi.broken, its passwords covered.
    Returns the networks that will not be found in what is read: those that could not be written yet (flash full,
    configuration broken), and all if good.
    """
    from .configmask import keep_broken

    count = len(errors)
    networks = []
    try:
        text = raw(wifi)
        if text is None:
            return ()
        data = parse(text, wifi, errors, []) or {}
        for ssid in sorted(data):
            password = data[ssid]
            if not 1 <= len(ssid.encode()) <= 32:
                errors.append("%s: expected a name of 1 to 32 bytes, got %d" % (wifi, len(ssid.encode())))
            elif password is not None and (not isinstance(password, str) or len(password.encode()) > 64):
                errors.append("%s: %s: expected a password of up to 64 bytes" % (wifi, ssid))
            else:
                networks.append({"ssid": ssid, "password": password} if password else {"ssid": ssid})
    except (ValueError, MemoryError) as e:
        errors.append(str(e) or "%s: too large for the memory" % wifi)
    except OSError as e:
        errors.append("%s: cannot be read (error %s)" % (wifi, e.args[0]))
        return ()
    bad = len(errors) > count
    if networks:
        wrong = []
        try:
            _merge(path, networks, wrong)
        except (ValueError, OSError, RuntimeError) as e:
            wrong.append("%s: %s" % (wifi, e))
        except MemoryError:
            wrong.append("%s: too large for the memory" % path)
        if wrong:
            errors.extend(wrong)
            return networks
    if bad:
        keep_broken(wifi, errors, True)
    store.remove(wifi)
    return networks if good else ()


def _merge(path, networks, errors):
    from .configsave import base_of, passwords, write

    base, whole = base_of(path)
    if not whole:
        errors.append("wifi.json: its networks wait until %s is JSON" % path)
        return
    old = passwords(base)
    section = base.get("wifi")
    if not isinstance(section, dict):
        section = base["wifi"] = {}
    known = section.get("networks")
    if not isinstance(known, list):
        known = section["networks"] = []
    for network in networks:
        for item in known:
            if isinstance(item, dict) and item.get("ssid") == network["ssid"]:
                if "password" in network:
                    item["password"] = network["password"]
                else:
                    item.pop("password", None)
                break
        else:
            known.append(dict(network))  # what is written gets its password encrypted in place
    write(path, base, old, errors)
