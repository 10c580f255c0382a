"""Expected failures of a command, said in a sentence with their cure, without a traceback."""

import re
from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console
from rich.markup import escape

from guilder.cli.demo.failure import StoryStopped
from guilder.cli.exit_codes import ExitCode
from guilder.kernel.errors import GuilderError, Kind
from guilder.storage.errors import StorageUnavailable

_AWAY = "Check that the database runs, and that GUILDER_DATABASE_URL or --database-url is right."


class PortTaken(Exception):
    """Somebody else listens where Guilder should.

    Args:
        host: Address that was asked for.
        port: Port that was asked for.
        reason: What the operating system says.
    """

    def __init__(self, *, host: str, port: int, reason: str | None) -> None:
        why = (reason or "the system refuses it").lower()
        super().__init__(f"Port {port} on {host} cannot be used: {why}.")
        self.cure = f"Stop what listens there, or choose another: --port {port % 65_535 + 1}."


_EXPECTED = (
    GuilderError,
    PortTaken,
    StoryStopped,
    ValidationError,
    SettingsError,
    PermissionError,
)
_CONSEQUENCE = "default_factory_not_called"
"""Pydantic's name for a default that waits for another setting to be right."""
_FIELD = re.compile(r'field "(\w+)"')


def explain(error: Exception, console: Console) -> ExitCode | None:
    """Print an expected failure with its cure and return the exit code that goes with it.

    Returns:
        None for anything else, which is our fault and is to keep its traceback.
    """
    if not isinstance(error, _EXPECTED):
        return None
    if isinstance(error, ValidationError):
        if error.title != "Settings":
            return None
        _refused(console, *_faults(error))
        return ExitCode.USAGE
    if isinstance(error, SettingsError):
        # Its own text names a class of the library, and its cause may quote a secret.
        found = _FIELD.search(str(error))
        name = f"GUILDER_{found[1].upper()}" if found else "A setting"
        _refused(console, f"{name}: must be JSON; docs/reference/settings.md says of what shape")
        return ExitCode.USAGE
    detail = error.detail if isinstance(error, GuilderError) else str(error)
    console.print(f"[bold red]{escape(detail)}[/]", soft_wrap=True)
    if cure := _cure(error):
        console.print(escape(cure), soft_wrap=True)
    return _code(error)


def _refused(console: Console, *faults: str) -> None:
    console.print("[bold red]The settings are not valid.[/]")
    for fault in faults:
        console.print(f"  {escape(fault)}", soft_wrap=True)


def _faults(error: ValidationError) -> Iterator[str]:
    """Say what is wrong with which variable, without the value."""
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        if fault["type"] == _CONSEQUENCE:
            continue
        said = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:
            # A rule about several settings names them itself.
            yield said
            continue
        name, *inside = (str(part) for part in fault["loc"])
        place = f" ({'.'.join(inside)})" if inside else ""
        yield f"GUILDER_{name.upper()}{place}: {said}"


def _code(error: Exception) -> ExitCode:
    if isinstance(error, StoryStopped):
        return ExitCode.WRONG
    if isinstance(error, GuilderError) and error.kind is not Kind.UNAVAILABLE:
        # A url that no engine serves, a secret that is missing.
        return ExitCode.USAGE
    return ExitCode.UNAVAILABLE


def _cure(error: Exception) -> str:
    if isinstance(error, PortTaken):
        return error.cure
    # The other errors name their cure themselves.
    return _AWAY if isinstance(error, StorageUnavailable) else ""
