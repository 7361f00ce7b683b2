"""The settings of a device, from /config.json.

load(), save(), check() and keep_good() are found here, and described in configapi.
"""

import sys

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


def __getattr__(name):
    # load(), save(), check() and keep_good() are needed now and then.
    if name not in ("load", "save", "check", "keep_good"):
        raise AttributeError(name)
    __import__("coldframe.configapi")
    return getattr(sys.modules["coldframe.configapi"], name)
