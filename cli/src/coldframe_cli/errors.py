"""What goes wrong, and the exit code that the command `coldframe` ends with then."""

from __future__ import annotations

OK = 0
FAILED = 1  # the device answered with an error
USAGE = 2  # wrong use of the command, or of its configuration
UNREACHABLE = 3  # the device does not answer
REFUSED = 4  # the device does not accept the key, or the key's role may not do that
NO_BROKER = 5
SOME_FAILED = 6  # some of several devices
INTERRUPTED = 130  # Ctrl-C, as shells have it


class CliError(Exception):
    """An error to be told to the user as it is.

    Args: text: what, where, and what was expected. exit_code: what the command ends with.
    """

    code = "error"

    def __init__(self, text: str, exit_code: int = USAGE) -> None:
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code


def os_error(error: OSError) -> str:
    """What to tell of an error of the operating system: which file, and why."""
    why = error.strerror or str(error)
    return f"{error.filename}: {why}" if error.filename is not None else why


class BrokerError(CliError):
    """The broker cannot be reached, or does not let us in."""

    code = "broker"

    def __init__(self, text: str) -> None:
        super().__init__(text, NO_BROKER)


class Timeout(CliError):
    """The device does not answer."""

    code = "timeout"

    def __init__(self, text: str) -> None:
        super().__init__(text, UNREACHABLE)


class SessionLost(CliError):
    """The device has forgotten the session, as after a restart, while a command was under way."""

    code = "lost"

    def __init__(self, text: str) -> None:
        super().__init__(text, UNREACHABLE)


class Incomplete(CliError):
    """A part of the device's answer has not come, as when the broker was restarted meanwhile."""

    code = "lost"

    def __init__(self, text: str) -> None:
        super().__init__(text, UNREACHABLE)


class Refused(CliError):
    """The device does not accept the key, or has no room for one more session."""

    code = "refused"

    def __init__(self, text: str) -> None:
        super().__init__(text, REFUSED)


class DeviceError(CliError):
    """The device's answer to a command is an error. ``code`` is one of docs/remote-protocol.md."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text, REFUSED if code == "denied" else FAILED)
        self.code = code
