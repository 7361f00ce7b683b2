"""The options that every command takes, before or after its name: coldframe --json ls, coldframe ls --json."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any

import typer

from . import completion, context, selectors
from .errors import INTERRUPTED

_PANEL = "Global options"


def _option(*names: str, help: str, metavar: str | None = None, min: float | None = None) -> Any:
    return typer.Option(
        *names, help=help, metavar=metavar, min=min, rich_help_panel=_PANEL, show_default=False
    )


# name of the parameter: its type with what typer wants to know
OPTIONS: dict[str, Any] = {
    "profile": Annotated[
        str | None,
        _option(
            "--profile",
            metavar="NAME",
            help="Which profile of the configuration file. (env: COLDFRAME_PROFILE)",
        ),
    ],
    "broker": Annotated[
        str | None,
        _option(
            "--broker",
            metavar="URL",
            help="HOST[:PORT] or mqtts://HOST[:PORT]; several with commas, tried in turn. (env: COLDFRAME_BROKER)",
        ),
    ],
    "user": Annotated[
        str | None, _option("--user", metavar="NAME", help="The user at the broker. (env: COLDFRAME_USER)")
    ],
    "password": Annotated[
        str | None,
        _option(
            "--password",
            metavar="TEXT",
            help="Its password, best in the environment. (env: COLDFRAME_PASSWORD)",
        ),
    ],
    "ca": Annotated[
        str | None,
        _option(
            "--ca", metavar="FILE", help="Certificates that the broker's is checked by. (env: COLDFRAME_CA)"
        ),
    ],
    "cert": Annotated[
        str | None,
        _option(
            "--cert", metavar="FILE", help="A certificate of our own for the broker. (env: COLDFRAME_CERT)"
        ),
    ],
    "cert_key": Annotated[
        str | None,
        _option(
            "--cert-key",
            metavar="FILE",
            help="The private key of that certificate. (env: COLDFRAME_CERT_KEY)",
        ),
    ],
    "key": Annotated[
        str | None,
        _option(
            "--key",
            metavar="TEXT",
            help="The device's remote.key, best in the environment. (env: COLDFRAME_KEY)",
        ),
    ],
    "base": Annotated[
        str | None,
        _option(
            "--base",
            metavar="TOPIC",
            help="Where devices are, + for the name; coldframe/+ unless told. (env: COLDFRAME_BASE)",
        ),
    ],
    "timeout": Annotated[
        float | None,
        _option(
            "--timeout", metavar="S", min=0.1, help="Seconds until a silent device counts as unreachable: 10."
        ),
    ],
    "json": Annotated[bool, _option("--json", help="Results as JSON, for scripts.")],
}


class App(typer.Typer):
    """A typer.Typer whose commands and callback all take the options above, without declaring them.

    A command that has one of these as a parameter of its own keeps its own. One whose first parameter is ``device``
    can be used for many devices (see selectors), unless it says many=False.
    """

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("no_args_is_help", True)
        super().__init__(**settings)

    def command(  # type: ignore[override]
        self, name: str | None = None, *, many: bool = True, **settings: Any
    ) -> Callable:
        def decorate(function: Callable) -> Callable:
            wrapped = function
            if many and next(iter(inspect.signature(function).parameters), None) == "device":
                wrapped = selectors.add(function, name or function.__name__)
                settings.setdefault("cls", selectors.Command)
            typer.Typer.command(self, name, **settings)(_with_options(wrapped))
            return function

        return decorate

    def callback(self, **settings: Any) -> Callable:  # type: ignore[override]
        register = super().callback(**settings)

        def decorate(function: Callable) -> Callable:
            register(_with_options(function))
            return function

        return decorate


def _with_options(function: Callable) -> Callable:
    signature = inspect.signature(function, eval_str=True)
    flags = {flag for p in signature.parameters.values() for flag in _flags(p)}
    added = [
        inspect.Parameter(
            f"global_{name}",
            inspect.Parameter.KEYWORD_ONLY,
            annotation=kind,
            default=False if name == "json" else None,
        )
        for name, kind in OPTIONS.items()
        if name not in signature.parameters and f"--{name.replace('_', '-')}" not in flags
    ]

    @functools.wraps(function)
    def command(*args: Any, **values: Any) -> Any:
        for name in OPTIONS:
            value = values.pop(f"global_{name}", None)
            if value is not None and value is not False:
                context.current().options[name] = value
        try:
            return function(*args, **values)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    parameters = sorted([*signature.parameters.values(), *added], key=lambda p: p.kind)
    # Typer keeps the ends of lines within a paragraph of the help.
    command.__doc__ = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(function.__doc__ or ""))
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    # typer looks at these as well, and would find them as text
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    del command.__wrapped__
    # In the help a paragraph is as wide as the terminal, not as the source.
    command.__doc__ = re.sub(r"(?<!\n)\n(?![\n\s*-])", " ", inspect.cleandoc(function.__doc__ or ""))
    return command


def _flags(parameter: inspect.Parameter) -> tuple[str, ...]:
    for extra in getattr(parameter.annotation, "__metadata__", ()):
        return tuple(getattr(extra, "param_decls", None) or ())
    return ()


DeviceArgument = typer.Argument(
    metavar="DEVICE",
    help="The device: its name, or its base topic.",
    show_default=False,
    autocompletion=completion.devices,
)
