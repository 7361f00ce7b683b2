"""A new configuration on trial: kept only if the node reaches its broker with it, else the one before comes back.

Four files beside /config.json, each written whole or not at all, so that a loss of power at any write leaves one of
the two configurations, and the note of what is to be done:

    config.before   the configuration before, byte for byte; moved back by one rename
    config.trial    the note, JSON, while something is to be done or the outcome has not been told
    config.result   the note of the last trial once it has been told

States of the note: "armed" (the new configuration is being written), "trying", "back" (decided, to be undone),
"failed" (undone), "kept", "void" (the power went before the new configuration was written). Here is what decides and
acts; trialwatch waits for the broker. Imported only while there is a note.
"""

import json
import os

from micropython import const

from . import bootrecord, log, store

NOTE = "config.trial"
RESULT = "config.result"
BEFORE = "config.before"
_STARTS = const(3)  # starts that a trial may take: a loss of power makes it begin anew, but not for ever
_MARGIN = const(60)  # s beyond the trial's own, for a program that never gets as far as the node

_log = log.getLogger("config")


def read(root="/", name=NOTE):
    """The note as a dict, None if there is none or it cannot be read."""
    try:
        note = json.loads(store.read(root + name, 1024) or b"")
        return note if isinstance(note, dict) and "state" in note else None
    except (ValueError, OSError):
        return None


def outcome(root="/"):
    """How the last trial went: {"id", "state", "why", "after", "trial"}, {} if there was none.

    state: "trying", "kept", "failed" (the configuration before is back) or "void" (nothing was changed); why: a text;
    after: seconds from the start of the node to the decision.
    """
    note = read(root) or read(root, RESULT)
    if note is None:
        return {}
    state = note["state"]
    found = {"state": {"armed": "trying", "back": "failed"}.get(state, state)}
    for key in ("id", "why", "after", "trial"):
        if key in note:
            found[key] = note[key]
    return found


def running(root="/"):
    """Whether a trial is not decided yet."""
    note = read(root)
    return note is not None and note["state"] in ("armed", "trying")


def arm(name, trial, root="/"):
    """To be called before the new configuration is written. Raises OSError; there is no trial then.

    name: what the outcome will be known by. trial: seconds for reaching the broker.
    """
    note = {"id": name, "state": "armed", "trial": trial, "starts": 0, "level": bootrecord.level()}
    if store.exists(root + "config.json"):
        store.copy(root + "config.json", root + BEFORE)
    else:
        store.remove(root + BEFORE)
        note["none"] = True
    try:
        _write(note, root)
    except OSError:
        store.remove(root + BEFORE)
        raise


def disarm(root="/"):
    """Take arm() back: the new configuration was not written."""
    store.remove(root + NOTE)
    store.remove(root + BEFORE)


def begin(root="/"):
    """To be called at the start of a boot when there is a note, before any program of the user's. Never raises.

    Goes on with what a reset or a loss of power has interrupted, and back if the trial has led to a crash. Returns
    whether a trial is running now.
    """
    try:
        return _begin(root)
    except (OSError, MemoryError) as e:
        _log.error("trial: %s", e)
        return False


def _begin(root):
    note = read(root)
    if note is None:  # only a damaged flash can do that: what was there before is the safe choice
        note = {"state": "back", "why": "the note of the trial was damaged"}
        if not store.exists(root + BEFORE):
            store.remove(root + NOTE)
            return False
    state = note["state"]
    if state == "armed" and not changed(root):
        note["why"] = "a restart came before the new configuration was written"
        _settle(note, "void", root)
        store.remove(root + BEFORE)
    elif state in ("armed", "trying"):
        note["starts"] = starts = note.get("starts", 0) + 1
        if not (note.get("none") or store.exists(root + BEFORE)):
            _settle(note, "failed", root)  # gone back, on a flash too full for saying so
        elif bootrecord.crashed:
            back(note, "the device crashed with it", root)
        elif starts > _STARTS:
            back(note, "%d starts without its broker" % _STARTS, root)
        else:
            note["state"] = "trying"
            try:
                _write(note, root)
            except OSError:
                pass  # no room to count
            from . import hal

            hal.later((note.get("trial", 120) + _MARGIN) * 1000, lambda: _late(root))
            _log.info("new configuration on trial, start %d of %d", starts, _STARTS)
            return True
    elif state == "back":
        back(note, note.get("why", ""), root)
    elif state == "kept":
        store.remove(root + BEFORE)
    return False


def changed(root="/"):
    """Whether the configuration is another one than before arm()."""
    if store.exists(root + BEFORE):
        return not store.same(root + "config.json", root + BEFORE)
    return store.exists(root + "config.json")


def _late(root):
    # From the timer: no node has decided. At the REPL it is for the person there to do so.
    import coldframe

    node = coldframe.node
    note = read(root)
    if note is None or note["state"] not in ("armed", "trying") or node and node.paused:
        return
    back(note, "no node has come up to reach its broker", root)
    from . import hal

    hal.reset("config: back to the configuration before: " + note["why"])


def keep(note, after, root="/"):
    """The new configuration is good. after: seconds that it took."""
    note["after"] = after
    note["why"] = "the broker was reached"
    _settle(note, "kept", root)
    store.remove(root + BEFORE)


def back(note, why, root="/"):
    """The new configuration is not good: the one before is that of the next start, at the level of the ladder before.

    Raises OSError if the flash cannot be written to. May be repeated.
    """
    note["why"] = why[:300]
    note["state"] = "back"
    try:
        _write(note, root)  # the decision first: from here on every start goes on with it
    except OSError:
        pass  # the flash is full; a rename needs no room
    if note.get("none"):
        store.remove(root + "config.json")
    elif store.exists(root + BEFORE):
        os.rename(root + BEFORE, root + "config.json")
    sync = getattr(os, "sync", None)
    if sync:
        sync()
    if note.get("level"):
        bootrecord.put_back(note["level"])
    _settle(note, "failed", root)


def told(root="/"):
    """The outcome has been told."""
    try:
        os.rename(root + NOTE, root + RESULT)
    except OSError:
        pass


def _settle(note, state, root):
    note["state"] = state
    try:
        _write(note, root)
    except OSError:
        store.remove(root + NOTE)  # no room for the outcome; what it is about holds all the same


def _write(note, root):
    store.write(root + NOTE, json.dumps(note))
