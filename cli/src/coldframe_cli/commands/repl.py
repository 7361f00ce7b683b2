"""coldframe repl: Python on a device, line by line."""

from __future__ import annotations

import ast
import codeop
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import typer

from .. import context
from ..errors import CliError
from ..options import DeviceArgument
from ..output import Output
from ..session import Session
from .code import execute

_PROMPT, _MORE = ">>> ", "... "
_INDENT = "    "
# What may be completed without running anything but a look-up of attributes.
_DOTTED = re.compile(r"(?:^|[^\w.])((?:[A-Za-z_]\w*\.)*)([A-Za-z_]\w*)?$")


def register(app: typer.Typer) -> None:
    app.command(many=False)(repl)


def repl(
    device: Annotated[str, DeviceArgument],
    history: Annotated[
        bool, typer.Option("--history/--no-history", help="Keep what is typed for next time.")
    ] = True,
) -> None:
    """Type Python that runs on a device, and see at once what it does.

    Enter runs what is complete; Tab completes names of the device; Ctrl-C stops what runs there; Ctrl-D leaves.
    `node` is the node itself, and `await` works. The node goes on with its work meanwhile.
    """
    now = context.current()
    if now.json:
        raise CliError(
            "repl: --json is of no use here; expected `coldframe eval` or `coldframe exec` with it"
        )
    with now.session(device) as session:
        who = session.welcome
        assert who
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        if terminal:
            now.out.text(f"{who.name} ({session.base}): Coldframe {who.version} on {who.board}", style="bold")
            now.out.text("Enter runs, Tab completes, Ctrl-C stops what runs, Ctrl-D leaves.", style="dim")
        lock = threading.Lock()
        read = _terminal(session, lock, history) if terminal else _pipe
        while (code := read()) is not None:
            if code.strip() in ("exit", "quit", "exit()", "quit()"):
                return
            if code.strip():
                with lock:
                    _run(session, code, now.out)


def _run(session: Session, code: str, out: Output) -> None:
    verb = "eval" if _is_expression(code) else "exec"
    try:
        execute(session, verb, code.strip() if verb == "eval" else code, 0, show=out.raw)
    except KeyboardInterrupt:
        out.note("KeyboardInterrupt", style="yellow")
    except CliError as error:
        out.error(error.text)


class _Compiler(codeop.CommandCompiler):
    def __init__(self) -> None:
        super().__init__()
        self.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def is_complete(code: str) -> bool:
    """Whether Enter shall run it: a whole statement, a block that ends with an empty line, or an error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _Compiler()(code, "<repl>", "single") is not None
    except (SyntaxError, ValueError, OverflowError):
        lines = code.split("\n")
        return len(lines) == 1 or not lines[-1].strip()  # the device says what is wrong with it


def _is_expression(code: str) -> bool:
    try:
        compile(code.strip(), "<repl>", "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError):
        return False
    return True


def _pipe() -> str | None:
    """The next statement from standard input, or None at its end."""
    code = ""
    for line in sys.stdin:
        code += line.rstrip("\n")
        if is_complete(code):
            return code
        code += "\n"
    return code.rstrip("\n") or None


def _terminal(session: Session, lock: threading.Lock, keep: bool) -> Callable[[], str | None]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.lexers import PygmentsLexer
    from pygments.lexers.python import PythonLexer

    keys = KeyBindings()

    @keys.add("enter")
    def _enter(event: Any) -> None:
        buffer = event.current_buffer
        document = buffer.document
        at_end = not document.text_after_cursor.strip()
        if at_end and is_complete(document.text.rstrip(" ")):
            buffer.validate_and_handle()
            return
        line = document.current_line_before_cursor
        indent = line[: len(line) - len(line.lstrip())]
        if line.rstrip().endswith(":"):
            indent += _INDENT
        elif re.match(r"\s*(return|break|continue|pass|raise)\b", line):
            indent = indent[: -len(_INDENT)]
        buffer.insert_text("\n" + indent)

    @keys.add("tab")
    def _tab(event: Any) -> None:
        buffer = event.current_buffer
        if not buffer.document.current_line_before_cursor.strip():
            buffer.insert_text(_INDENT)
        elif buffer.complete_state:
            buffer.complete_next()
        else:
            buffer.start_completion(insert_common_part=True)

    prompt: PromptSession[str] = PromptSession(
        history=FileHistory(str(_history_file())) if keep else InMemoryHistory(),
        lexer=PygmentsLexer(PythonLexer),
        completer=_completer(session, lock),
        complete_while_typing=False,
        complete_in_thread=True,
        multiline=True,
        prompt_continuation=_MORE,
        key_bindings=keys,
        enable_history_search=False,
    )

    def read() -> str | None:
        while True:
            try:
                # In the terminal's raw mode Ctrl-C is a key; a signal comes only outside of it.
                return prompt.prompt(_PROMPT, handle_sigint=False).rstrip()
            except KeyboardInterrupt:
                continue  # the line is thrown away
            except EOFError:
                return None

    return read


def _completer(session: Session, lock: threading.Lock) -> Any:
    from prompt_toolkit.completion import Completer, Completion

    class Names(Completer):
        def get_completions(self, document: Any, _event: Any) -> Iterable[Completion]:
            found = _DOTTED.search(document.current_line_before_cursor)
            if not found:
                return
            prefix = found[2] or ""
            for name in names(session, lock, found[1].rstrip(".")):
                if name.startswith(prefix) and (prefix or not name.startswith("_")):
                    yield Completion(name, start_position=-len(prefix))

    return Names()


def names(session: Session, lock: threading.Lock, owner: str) -> list[str]:
    """The names that the device knows: attributes of ``owner``, or without one, all that can be used as it is."""
    code = f"'\\n'.join(dir({owner}))" if owner else "'\\n'.join(dir() + dir(__import__('builtins')))"
    got = bytearray()
    if not lock.acquire(timeout=1.0):
        return []
    try:
        told = session.call("eval", {"limit": 2}, code.encode(), timeout=3.0, on_data=got.extend)
        return sorted(set(ast.literal_eval(got.decode()).split("\n"))) if told.get("ok") else []
    except (CliError, ValueError, SyntaxError):
        return []
    finally:
        lock.release()


def _history_file() -> Path:
    folder = Path(platformdirs.user_state_dir("coldframe"))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "history"
    file.touch(mode=0o600)  # what is typed may be a password
    return file
