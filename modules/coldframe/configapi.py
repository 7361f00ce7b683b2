"""The functions of coldframe.config that are needed now and then: they and what they import are let go after use."""

from . import forget
from .config import PATH


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


def save(changes, path=PATH, whole=False):
    """Change the configuration file; what runs is not changed by it.

    changes: dict as JSON has it, merged into the file (RFC 7396: None removes a key, a list replaces a list). whole:
    it is all that the file is to hold, and is changed here, as there may be no room for a copy. Passwords in it are
    readable; they are encrypted in the file. The result is written whole or not at all, and not if a single value is
    wrong. Returns a list of texts, one for each thing that was wrong; empty if the file is as it should be.
    """
    from .configsave import save

    return _let_go(save(changes, path, whole))


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
    for name in ("api", "check", "keys", "load", "mask", "save", "scan", "seal", "wifi"):
        forget("config" + name)
    forget("secrets")
    return result
