"""Names of devices for the shell's Tab key: those that were found the last time, without asking anybody."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import platformdirs

_MOST = 5000


def file() -> Path:
    """Where the names are kept."""
    return Path(platformdirs.user_cache_dir("coldframe")) / "devices.json"


def remember(names: Iterable[str]) -> None:
    """Keep the names of the devices that have been found; those of before stay behind them. Never raises."""
    path = file()
    new = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError, ValueError):
        kept = list(dict.fromkeys([*names, *known()]))[:_MOST]
        if kept == known():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(kept), encoding="utf-8")
        new.replace(path)


def known() -> list[str]:
    """The names that are kept; an empty list if there are none, or if they cannot be read."""
    try:
        found = json.loads(file().read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def devices(incomplete: str) -> list[str]:
    """The names that begin with what has been typed."""
    return sorted(name for name in known() if name.startswith(incomplete) and " " not in name)
