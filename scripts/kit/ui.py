"""What a script says to the person who runs it: errors, warnings and progress.

Everything here goes to standard error, so that standard output stays free for results that other
programs read. On a terminal, progress is drawn with rich; elsewhere (CI logs, pipes, or a Python
without rich) the same steps are plain lines.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
except ImportError:  # a bare Python: progress becomes plain lines
    Console = None  # type: ignore[assignment,misc]

INTERRUPTED = "interrupted; nothing was left in dist/"

_live: Any = None  # the console of the progress display, while one is drawn


class UserError(Exception):
    """Something the user can put right: one message that says what, where and what was expected.

    Args:
        what: what is wrong, one sentence without a full stop.
        where: the file, key or option concerned.
        expected: what would have been right.
        hint: what to do about it; may have several lines.
    """

    def __init__(
        self, what: str, *, where: object = None, expected: object = None, hint: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where is not None else self.what
        if self.expected is not None:
            text += f"; expected {self.expected}"
        if self.hint:
            text += "\n  " + self.hint.rstrip().replace("\n", "\n  ")
        return text


class Terminated(BaseException):
    """SIGTERM arrived; handled like Ctrl-C, so that children are stopped and temp files removed."""


def _on_sigterm(signum: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def main(fn: Callable[..., int | None], argv: Sequence[str] | None = None) -> NoReturn:
    """Run a script's main function and end the process with the right exit status.

    Args:
        fn: called with `argv` (the process arguments without the program name); its result is
            the exit status (None counts as 0).
        argv: arguments, by default `sys.argv[1:]`.

    Raises:
        SystemExit: always: `fn`'s result, 2 after a UserError (printed as one message), 130
            after Ctrl-C, 143 after SIGTERM.
    """
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        status = fn(list(sys.argv[1:] if argv is None else argv)) or 0
        sys.stdout.flush()
    except UserError as error:
        say(f"error: {error}")
        status = 2
    except KeyboardInterrupt:
        say(f"\n{INTERRUPTED}")
        status = 130
    except Terminated:
        say(f"\n{INTERRUPTED}")
        status = 143
    except BrokenPipeError:  # the reader of our output (head, less) has gone: not worth a message
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 141
    sys.exit(status)


def say(text: str) -> None:
    """Print one message to standard error, above the progress display if there is one."""
    if _live is not None:
        _live.print(text, markup=False, highlight=False, soft_wrap=True)
    else:
        print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Print a warning to standard error."""
    say(f"warning: {text}")


def is_terminal() -> bool:
    """True when progress can be drawn in place."""
    return Console is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that `word` was probably meant to be, or None."""
    import difflib

    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def size(count: int) -> str:
    """A number of bytes for people, e.g. "331,616 B"."""
    return f"{count:,} B"


class Step:
    """One step of a task, shown while it runs. Made by `Steps.step`."""

    def __init__(self, owner: Steps, title: str) -> None:
        self.owner = owner
        self.title = title
        self.began = time.monotonic()
        self.done = 0
        self.total: int | None = None
        self.note = ""
        self._task: Any = None

    def update(self, done: int | None = None, total: int | None = None, note: str | None = None) -> None:
        """Show how far the step is.

        Args:
            done: units finished so far (objects, bytes, files).
            total: units in all, when known.
            note: what is being done now, e.g. a file name.
        """
        if done is not None:
            self.done = done
        if total is not None:
            self.total = total
        if note is not None:
            self.note = note
        self.owner._draw(self)

    @property
    def seconds(self) -> float:
        """Time since the step began."""
        return time.monotonic() - self.began


class Steps:
    """The steps of one task. Use as `with Steps("RPI_PICO") as steps: with steps.step("link"): …`"""

    def __init__(self, title: str) -> None:
        self.title = title
        self._progress: Any = None

    def __enter__(self) -> Steps:
        global _live
        if is_terminal():
            _live = Console(stderr=True)
            self._progress = Progress(
                SpinnerColumn(finished_text="[green]✓"),
                TextColumn(f"[bold]{self.title}"),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[note]}"),
                console=_live,
            )
            self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        global _live
        if self._progress is not None:
            self._progress.stop()
            _live = None

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step for as long as the `with` block runs."""
        step = Step(self, title)
        if self._progress is not None:
            step._task = self._progress.add_task(title, total=None, count="", note="")
        else:
            say(f"{self.title}: {title} …")
        yield step
        # Reached only when the block did not raise: a failed step is left standing as it was.
        step.note = ""
        if self._progress is not None:
            end = step.total or step.done or 1
            self._progress.update(step._task, total=end, completed=end, note="")
        else:
            count = f", {step.done} done" if step.done else ""
            say(f"{self.title}: {title}: {step.seconds:.1f} s{count}")

    def _draw(self, step: Step) -> None:
        if self._progress is None:
            return
        count = f"{step.done}/{step.total}" if step.total else (str(step.done) if step.done else "")
        self._progress.update(
            step._task, total=step.total, completed=step.done, count=count, note=step.note[-48:]
        )
