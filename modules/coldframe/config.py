"""The settings of a device, from /config.json. Reading and checking that file is the work of configload."""

from . import forget
from .configkeys import KEYS

PATH = "/config.json"

_saved = None  # digest of what save() has written
_loaded = None  # (path, digest) of what load() has read; keep_good() keeps nothing else


class Config:
    """The settings, by dotted path: ``config["mqtt.port"]``, or section by section: ``config.mqtt.port``.

    A key that was not given has its default. An unknown path raises KeyError (AttributeError).
    """

    def __init__(self, data=None, prefix=""):
        self._data = data or {}
        self._prefix = prefix

    def __getitem__(self, path):
        value = self._data
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
            if value is None:
                break
        if isinstance(value, dict):
            found = row(path)
            if found[1] != "dict" if found else not is_section(path):
                return value  # the user's own: nothing is known of its content
            return Config(self._data, path + ".")
        if value is None:
            found = row(path)
            if found is None:
                if is_section(path):
                    return Config(self._data, path + ".")
                raise KeyError(path)
            value = found[2]
        return value

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[self._prefix + name]
        except KeyError as e:
            raise AttributeError(e.args[0])

    def given(self, path):
        """Whether the configuration itself has something at a path."""
        value = self._data
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value is not None

    def get(self, path, default=None):
        """Value at a path; default if it was not given and has no default of its own, or is unknown."""
        try:
            value = self[path]
        except KeyError:
            return default
        return default if value is None else value


def row(path):
    """The row of the table for a path, None if there is none."""
    for found in KEYS:
        if found[0] == path:
            return found


def is_section(path):
    """Whether a path stands for an object that has keys of its own."""
    path += "."
    return any(found[0].startswith(path) for found in KEYS)


def load(path=PATH, good=False):
    """Read the configuration.

    good: True takes the last good copy, if there is one, even if the file itself can be used.
    Returns (Config, errors): errors is a list of texts, one for each thing that was wrong, empty if all is well.
    What is wrong falls back to its default. If the file as a whole cannot be used, ``config.bak`` beside it (the
    last one that the device ran well with) is, and the broken one is kept as ``config.broken``, its passwords covered.
    Takes in ``wifi.json`` beside it, and encrypts the passwords that are readable in the file. Never raises for the
    content of a file.
    """
    from .configload import load

    return _let_go(load(path, good))


def save(changes, path=PATH):
    """Change the configuration file; what runs is not changed by it.

    changes: dict as JSON has it, merged into the file (RFC 7396: None removes a key, a list replaces a list). Passwords
    in it are readable; they are encrypted in the file. The result is written whole or not at all, and not if a single
    value is wrong. Returns a list of texts, one for each thing that was wrong; empty if the file is as it should be.
    """
    from .configsave import save

    return _let_go(save(changes, path))


def check(data, errors):
    """Check the object of a configuration against the table.

    data: dict as JSON gives it; changed in place: what is wrong or unknown is taken out. errors: list to which a
    text is added for each. Returns data.
    """
    from .configcheck import check

    return _let_go(check(data, errors))


def keep_good(path=PATH):
    """Make the present file the last good copy, if it is one and is not so already. Raises OSError."""
    from .configload import keep_good

    _let_go(keep_good(path))


def _let_go(result):
    # All this is needed for a moment at the start; the RAM of its functions is given back.
    for name in ("check", "keys", "load", "mask", "save", "scan", "seal", "wifi"):
        forget("config" + name)
    forget("secrets")
    return result
