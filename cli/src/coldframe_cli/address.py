"""HOST:PORT as people write it."""

from __future__ import annotations


def parse(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Split ``HOST:PORT``, ``[IPV6]:PORT`` or, with a default port, ``HOST``.

    Returns (host, port). Raises ValueError with a sentence for the user.
    """
    host, colon, port_text = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port_text = text, ""
    host = host.removeprefix("[").removesuffix("]")
    if not host or (not text.startswith("[") and ":" in host):
        raise ValueError(f"{text!r}: expected HOST:PORT, such as 10.0.0.5:1883 or [::1]:1883")
    if not colon or text.endswith("]"):
        if default_port is None:
            raise ValueError(f"{text!r}: expected HOST:PORT, such as 127.0.0.1:7000")
        return host, default_port
    try:
        port = int(port_text)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise ValueError(f"{text!r}: expected a port number from 0 to 65535 after the colon")
    return host, port
