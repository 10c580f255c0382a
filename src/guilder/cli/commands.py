# ruff: noqa: PLC0415 - see below.
"""The commands. Each reads its options, makes one call into the code below, prints what came.

What a command needs is imported inside of it: the whole application takes a second to import, and a
demo, which starts three processes, would pay it three times.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from guilder.cli import audit, keys, totals, users
from guilder.cli.exit_codes import ExitCode
from guilder.cli.options import AsJson, DatabaseUrl, DataDirectory

app = typer.Typer(
    name="guilder",
    help="Guilder: a digital wallet and payments backend on strict double-entry books.",
    epilog="Exit codes: 0 done and right, 1 done and not right, 2 wrong options or settings, "
    "3 something needed is not there.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
reference = typer.Typer(help="Print the generated pages of the documentation.")
app.add_typer(reference, name="reference", hidden=True)
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(users.app, name="users")
app.command()(totals.totals)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and end the process with its exit code.

    Args:
        arguments: The words after `guilder`; those of this process by default.
    """
    try:
        app(arguments)
    except Exception as error:
        from guilder.cli.failures import explain

        code = explain(error, Console(stderr=True, highlight=False))
        if code is None:
            raise
        sys.exit(code)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
        typer.echo(f"guilder {version('guilder')}")
        raise typer.Exit


@app.callback()
def _guilder(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Read the options that stand before a command."""


@app.command()
def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that answer requests. One by default.")
    ] = None,
    database_url: DatabaseUrl = None,
    data_directory: DataDirectory = None,
) -> None:
    """Start Guilder."""
    from guilder.app import serve as serve_app
    from guilder.cli.failures import PortTaken
    from guilder.settings import load_settings

    settings = load_settings(
        host=host,
        port=port,
        workers=workers,
        database_url=database_url,
        data_directory=data_directory,
    )
    try:
        serve_app(settings)
    except OSError as error:
        if error.filename is not None:
            raise
        # Without a file it is about the address: the only one that is listened on is ours.
        raise PortTaken(host=settings.host, port=settings.port, reason=error.strerror) from error


@app.command()
def demo(
    *,
    url: Annotated[
        str | None,
        typer.Option(help="A running Guilder with the simulator on; without it one is started."),
    ] = None,
) -> None:
    """Play a story with two people over real HTTP and check every number."""
    from guilder.cli.demo.run import run

    if not run(Console(highlight=False), url=url):
        raise typer.Exit(ExitCode.WRONG)


@app.command()
def verify(
    *,
    database_url: DatabaseUrl = None,
    data_directory: DataDirectory = None,
    since: Annotated[
        Path | None,
        typer.Option(
            help="File with a checkpoint of /v1/ledger/checkpoints that was kept elsewhere: "
            "verify that the journal still fits it, and what follows.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the hash chain, from the journal alone every balance, hold and total, and the
    audit record.
    """
    from guilder.cli import books
    from guilder.settings import load_settings

    settings = load_settings(database_url=database_url, data_directory=data_directory)
    report = asyncio.run(books.verify(settings, since=since))
    typer.echo(json.dumps(books.as_json(report)) if as_json else books.as_text(report))
    if not report.ok:
        raise typer.Exit(ExitCode.WRONG)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
    *,
    database_url: DatabaseUrl = None,
    data_directory: DataDirectory = None,
) -> None:
    """Write all accounts and the whole journal into a file, as lines of JSON."""
    from guilder.cli import books
    from guilder.settings import load_settings

    settings = load_settings(database_url=database_url, data_directory=data_directory)
    try:
        with file.open("xb") as opened:
            typer.echo(asyncio.run(books.export(settings, opened)))
    except FileExistsError as error:
        raise typer.BadParameter(f"{file} exists.") from error


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="File that `export` wrote.", exists=True, dir_okay=False)
    ],
    *,
    database_url: DatabaseUrl = None,
    data_directory: DataDirectory = None,
) -> None:
    """Read an export into a database without books, of either engine, and verify the result."""
    from guilder.cli import books
    from guilder.settings import load_settings

    settings = load_settings(database_url=database_url, data_directory=data_directory)
    with file.open("rb") as opened:
        typer.echo(asyncio.run(books.import_(settings, opened)))


@app.command()
def migrate(*, database_url: DatabaseUrl = None, data_directory: DataDirectory = None) -> None:
    """Bring the database up to date. Harmless when it is, and when two do it at once."""
    from guilder.cli import books
    from guilder.settings import load_settings

    settings = load_settings(database_url=database_url, data_directory=data_directory)
    for line in asyncio.run(books.migrate(settings)) or ["The database is up to date."]:
        typer.echo(line)


@app.command()
def openapi() -> None:
    """Print the description of the HTTP API."""
    from guilder.app import create_app
    from guilder.settings import load_settings

    typer.echo(json.dumps(create_app(load_settings()).openapi(), indent=2))


@app.command()
def doctor(*, as_json: AsJson = False) -> None:
    """Look for unsafe settings and say what cures them."""
    from guilder.cli import findings
    from guilder.doctor import doctor as diagnose
    from guilder.settings import load_settings

    found = diagnose(load_settings())
    if as_json:
        typer.echo(json.dumps([finding.as_dict() for finding in found]))
    else:
        findings.show(found, Console(highlight=False))
    if any(finding.is_error for finding in found):
        raise typer.Exit(ExitCode.WRONG)


@reference.command("errors")
def reference_errors() -> None:
    """Print docs/reference/errors.md."""
    from guilder.cli.reference import errors_page

    typer.echo(errors_page(), nl=False)


@reference.command("settings")
def reference_settings() -> None:
    """Print docs/reference/settings.md."""
    from guilder.cli.reference import settings_page

    typer.echo(settings_page(), nl=False)
