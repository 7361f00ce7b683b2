"""coldframe collect: what devices publish, as lines of JSON, for programs that store logs and measurements."""

from __future__ import annotations

import base64
import json
import queue
import time
from typing import Annotated, Any

import typer

from .. import context
from ..errors import CliError
from ..link import Link

_OURS = (
    "cmd",
    "reply",
)  # below a device's base topic: remote administration, which is nobody else's business


def register(app: typer.Typer) -> None:
    app.command()(collect)


def collect(
    topics: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOPIC]...",
            help="Filters; ./ stands for the base topics of all devices. All that they publish if left out.",
            show_default=False,
        ),
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(
            metavar="GROUP",
            help="Divide the messages among all that say the same GROUP: each gets its share.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="End after so many messages; else it runs until Ctrl-C."),
    ] = None,
    retained: Annotated[
        bool, typer.Option("--retained", help="Also what the broker has kept from before.")
    ] = False,
) -> None:
    """Write what devices publish to standard output, one JSON object per line.

    Each has "time" (s since 1970), "topic", "device" (its base topic, where it is below that of the profile), and
    "value": what was JSON, else text, or base64 for "bytes" where it is no text.
    """
    now = context.current()
    profile = now.profile
    filters = [_absolute(topic, profile.base, share) for topic in topics or ["./#"]]
    got: queue.Queue[dict[str, Any]] = queue.Queue(100_000)
    depth = profile.base.count("/") + 1

    def take(topic: str, payload: bytes, kept: bool) -> None:
        levels = topic.split("/")
        if (kept and not retained) or (len(levels) > depth and levels[depth] in _OURS):
            return
        row: dict[str, Any] = {"time": round(time.time(), 3), "topic": topic}
        if len(levels) > depth and _below(levels, profile.base.split("/")):
            row["device"] = "/".join(levels[:depth])
        got.put({**row, **_value(payload)})

    # One of a group that ends leaves nothing behind for which the broker would go on to keep its share.
    with Link(profile, lasting=share is None) as link:
        for topic_filter in filters:
            link.listen(topic_filter, take)
        now.out.note(f"listening to {', '.join(filters)} at {link.broker}")
        left = count
        while left is None or left > 0:
            print(json.dumps(got.get(), ensure_ascii=False), flush=True)
            left = None if left is None else left - 1


def _absolute(topic: str, base: str, share: str | None) -> str:
    topic = base + topic[1:] if topic.startswith("./") else topic
    if share is None:
        return topic
    if not share or any(c in share for c in "/+#"):
        raise CliError(f"--share {share!r}: expected a name without / + #")
    return f"$share/{share}/{topic}"


def _below(levels: list[str], base: list[str]) -> bool:
    return all(want in ("+", level) for want, level in zip(base, levels, strict=False))


def _value(payload: bytes) -> dict[str, Any]:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return {"bytes": base64.b64encode(payload).decode()}
    try:
        return {"value": json.loads(text)}
    except (ValueError, RecursionError):
        return {"value": text}
