"""Putting settings on a board that hangs on this computer's USB: what is run there, and what it answers.

The board does the writing, with its own code: the new file is checked once more by the firmware that is on it, and
replaces the old one in one go, so that pulling the plug in the middle leaves the old one.
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from typing import Any

from . import tools
from .errors import CliError
from .settings import SettingsError

_MARK = "COLDFRAME-SAYS "
_KEY_BYTES = 24  # of chance in a new key: 32 characters

# Runs on the board. WHOLE: the text is the new file; else it is changes to be merged.
_SCRIPT = """\
import json, sys
def tell(**what):
    print("%(mark)s" + json.dumps(what))
try:
    import coldframe
    from coldframe import config
    from coldframe.version import __version__
except ImportError:
    tell(missing=True, system=sys.version)
else:
    text = %(text)s
    errors = []
    if %(whole)r:
        config.check(json.loads(text), errors)
        if not errors:
            from coldframe import store
            try:
                store.write("/config.json", lambda f: f.write(text))
            except OSError as e:
                errors.append("/config.json: cannot be written (error %%s)" %% e.args[0])
    else:
        errors = config.save(json.loads(text))
    from coldframe import hal
    import machine
    tell(errors=errors, version=__version__, board=hal.board(), id=machine.unique_id().hex())
"""


def new_key() -> str:
    """A new remote.key: 32 characters of chance."""
    return secrets.token_urlsafe(_KEY_BYTES)


def over_usb(port: str, data: dict[str, Any] | str, *, restart: bool = True) -> dict[str, Any]:
    """Put settings on the board at a serial port, what runs there being interrupted.

    Args:
        port: name of the serial port.
        data: changes that are merged into the board's config.json, or, as a text, the whole file.
        restart: so that it takes them up.

    Returns:
        "version", "board" and "id" of the board.

    Raises:
        ToolError: mpremote is missing, or cannot talk to the board.
        SettingsError: the firmware on the board does not accept them; nothing was changed.
        CliError: no Coldframe on the board.
    """
    whole = isinstance(data, str)
    text = data if isinstance(data, str) else json.dumps(data)
    # As bytes: the console between us need not let every character through.
    literal = f"{text.encode()!r}.decode()"
    try:
        return _answer(port, tools.on_board(port, _SCRIPT % {"mark": _MARK, "text": literal, "whole": whole}))
    finally:
        # Whatever came of it: the node does not run while somebody is at the console.
        if restart:
            with suppress(tools.ToolError):
                tools.restart(port)


def _answer(port: str, said: str) -> dict[str, Any]:
    rows = [row[len(_MARK) :] for row in said.splitlines() if row.startswith(_MARK)]
    if not rows:
        raise CliError(f"{port}: expected the board's answer, got: {said[-300:] or 'nothing'}")
    answer: dict[str, Any] = json.loads(rows[-1])
    if answer.get("missing"):
        raise CliError(
            f"{port}: no Coldframe on this board ({answer['system']}); flash it first: coldframe flash"
        )
    if answer["errors"]:
        raise SettingsError([f"the board: {text}" for text in answer["errors"]])
    return answer
