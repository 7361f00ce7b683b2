"""Find the real error in the output of a build.

`make` and `ninja` end with lines that only say that something failed; what the user needs is the
compiler's own first error, perhaps hundreds of lines earlier.
"""

from __future__ import annotations

import re
from pathlib import Path

from kit.ui import UserError

FULL = "No space left on device"

# In order of trust: a line that matches an earlier pattern is preferred over one that matches a later.
_PATTERNS = (
    re.compile(r"^\S.*?:\d+(?::\d+)?: (?:fatal )?error: "),  # gcc, clang, the preprocessor
    re.compile(
        r"(?:undefined reference to|multiple definition of|region `\w+' overflowed|will not fit in region)"
    ),
    re.compile(r"\bld(?:\.\w+)?: .*(?:cannot|error|not found)"),
    re.compile(r"^CMake Error"),
    re.compile(r"^\w*(?:Error|Exception|Exit)\b.*:"),  # the last line of a Python traceback
    re.compile(r"^(?:error|Error)\b.*"),
    re.compile(r"^make.*: \*\*\* (?!.*\bError \d)"),  # "No rule to make target", "…: command not found"
    re.compile(r"command not found"),
)
_CONTEXT = 6  # lines after a compiler's error: the source line, the caret and notes


def errors(text: str) -> list[str]:
    """The real errors in a tool's output, the first one first, each with the lines that explain it.

    Args:
        text: everything the tool printed.

    Returns:
        One string per error, all of the most trustworthy kind present; empty when none is known.
    """
    lines = text.splitlines()
    for pattern in _PATTERNS:
        found = [i for i, line in enumerate(lines) if pattern.search(line)]
        if found:
            return [_with_context(lines, i) for i in found]
    return []


def _with_context(lines: list[str], index: int) -> str:
    taken = [lines[index].rstrip()]
    # gcc and clang continue with indented lines ("   12 | int x" and the caret). CMake does so as well,
    # with an empty line between its paragraphs.
    paragraphs = lines[index].startswith("CMake")
    for line in lines[index + 1 : index + 1 + _CONTEXT]:
        if line.strip() and not line.startswith((" ", "\t")) or not (line.strip() or paragraphs):
            break
        if line.strip():
            taken.append(line.rstrip())
    return "\n".join(taken)


def failure(tool: str, status: int, log: Path, start: int) -> UserError:
    """The error to raise for a tool that failed.

    Args:
        tool: program name.
        status: its exit status, negative for a signal.
        log: the log file that has its output.
        start: where in the file the output begins, in bytes.
    """
    with log.open("rb") as file:
        file.seek(start)
        text = file.read().decode("utf-8", "replace")
    see = f"the whole output is in {log}"
    if FULL in text:
        return disk_full(log.parent)
    found = errors(text)
    if found:
        more = f"\n({len(found) - 1} more like it)" if len(found) > 1 else ""
        return UserError(f"the build failed:\n{found[0]}{more}", hint=see)
    how = f"was killed by signal {-status}" if status < 0 else f"failed with status {status}"
    tail = "\n".join(line for line in text.splitlines() if line.strip() and not line.startswith("# status"))[
        -400:
    ]
    return UserError(f"{Path(tool).name} {how}", hint=f"{tail}\n{see}" if tail else see)


def disk_full(where: Path) -> UserError:
    """The error for a disk without space: says which and how much is free."""
    import shutil

    free = shutil.disk_usage(where).free
    return UserError(
        f"the disk is full: {free // (1 << 20)} MiB free",
        where=where,
        expected="room for the build (about 700 MiB per board)",
        hint="free some space, or choose other folders with --work and --out; nothing was left in dist/",
    )
