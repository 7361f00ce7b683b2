"""The pages that a device serves: from web/ to the frozen module coldframe_pages, one compressed file per page.

A page is one HTML file; the style sheet and the script that it names are put into it, so that one request fetches all.
Nothing here depends on the machine or the time.
"""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

from kit.ui import UserError

PAGES = {"SETUP": "setup.html"}  # name in the module -> file in web/


def module(web: Path) -> str:
    """The text of coldframe_pages.py.

    Args:
        web: the folder with the sources.

    Raises:
        UserError: a file is missing.
    """
    lines = [
        '"""The pages that the device serves, compressed with gzip; made by scripts/build.py from web/."""',
        "",
    ]
    lines += [f"{name} = {gzipped(page(web / file).encode())!r}" for name, file in PAGES.items()]
    return "\n".join(lines) + "\n"


def page(path: Path) -> str:
    """One page with its style sheet and its script in it, and without comments and indentation."""
    folder = path.parent
    text = _read(path)
    text = re.sub(
        r'<link rel="stylesheet" href="([\w.]+)">',
        lambda m: f"<style>\n{_css(_read(folder / m[1]))}\n</style>",
        text,
    )
    text = re.sub(
        r'<script src="([\w.]+)"></script>',
        lambda m: f"<script>\n{_js(_read(folder / m[1]))}\n</script>",
        text,
    )
    return "\n".join(line.strip() for line in text.splitlines() if line.strip()) + "\n"


def gzipped(data: bytes) -> bytes:
    """Compress: a gzip member (RFC 1952) without name and time."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    body = squeeze.compress(data) + squeeze.flush()
    head = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    return head + body + struct.pack("<II", zlib.crc32(data), len(data))


def _css(text: str) -> str:
    return re.sub(r"/\*.*?\*/\s*", "", text, flags=re.DOTALL)


def _js(text: str) -> str:
    return re.sub(r"^\s*//.*\n", "", text, flags=re.MULTILINE)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError("the file is missing", where=path, expected="a source of a page") from None
