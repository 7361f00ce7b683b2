"""Runs mqboard's engine for the bench, in a Python of its own: paho-mqtt 1.6 and click are what it was made for.

    python mqboard_driver.py FOLDER PORT TOPIC

Takes lines of JSON on stdin, {"do": "put" | "get" | "eval", "file", "name", "code"}, and answers each with one,
{"seconds", "error", "output" (of eval)}. "file" is here, "name" on the board.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from pathlib import Path

TIMEOUT = 15  # s of silence


def main() -> None:
    """The command."""
    folder, port, topic = sys.argv[1:]
    sys.path.insert(0, folder)
    import click
    import engine

    client = engine.MQTT("127.0.0.1", int(port), False, topic, TIMEOUT, False)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="replace", write_through=True)
        answer: dict[str, object] = {"error": None}
        start = time.monotonic()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                if order["do"] == "put":
                    data = Path(order["file"]).read_bytes()
                    client.perform("cmd/put", data, tail=order["name"])
                elif order["do"] == "get":
                    data = client.perform("cmd/get", "", tail=order["name"])
                    Path(order["file"]).write_bytes(data)
                else:
                    answer["output"] = client.perform("cmd/eval", order["code"]).decode()
        except click.ClickException as error:
            answer["error"] = error.message
        except click.Abort:
            said.seek(0)
            answer["error"] = " ".join(said.read().split()) or "aborted"
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        answer["seconds"] = time.monotonic() - start
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
