"""What running somebody's code beside the event loop needs from C. Used by coldframe.remote.run."""

from collections.abc import Callable
from typing import Any

class Guard:
    """A function for a timer (or micropython.schedule()) whose exceptions are raised in the program that runs.

    Guard(f)(x) calls f(x) and returns None. What f raises, or an exception that it returns, is raised in what goes on
    running afterwards, at its next step; plain scheduled functions only print theirs.
    """

    def __init__(self, function: Callable[..., Any]) -> None: ...
    def __call__(self, *args: Any) -> None: ...

class Tap:
    """A stream for os.dupterm() that gathers what is printed in a buffer.

    Args: buffer: bytearray, never to be resized; full: called without arguments, as by a Guard, when there is no room
    left: it is to set len to 0.
    """

    on: bool  # whether anything is gathered; off while full() runs
    len: int  # bytes that are in the buffer; can be set
    lost: int  # bytes that found no room; what is printed in interrupts and scheduled functions cannot wait for it
    total: int  # bytes that have come so far, modulo 2**30
    other: Any  # the stream that had the place of dupterm before, which goes on as it did, or None

    def __init__(self, buffer: bytearray, full: Callable[[], Any]) -> None: ...
    def write(self, data: bytes) -> int: ...

def compile(code: bytes, file: str, expression: bool, names: dict[str, Any]) -> Callable[[], Any]:
    """Python code as a function without arguments: its value if it is an expression, else None.

    file: what its tracebacks call it. names: where it finds its global names. Code with `await` outside of
    its functions gives a coroutine when it is called. Raises SyntaxError.
    """

def run(function: Callable[..., Any], names: dict[str, Any], *args: Any) -> tuple[bool, Any]:
    """function(*args): (True, what it returns) or (False, what it raises, whose traceback begins in the function).

    names: where code outside of functions finds and makes its names.
    """

def room() -> int:
    """Bytes of the C stack that are left until "maximum recursion depth exceeded"."""

def show(value: Any) -> None:
    """Print repr(value), however long it is, without a line feed."""
