# ruff: noqa: PLC0415 - as in `commands`: what a command needs is imported inside of it.
"""`guilder audit list`, `verify`, `head`: read the record of security events. Guilder may run."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guilder.cli.exit_codes import ExitCode
from guilder.cli.options import AsJson, DatabaseUrl, DataDirectory

if TYPE_CHECKING:
    from guilder.audit.trail import Entry, Search
    from guilder.audit.verify import AuditReport, Noted
    from guilder.settings import Settings

app = typer.Typer(help="Read the record of security events.", no_args_is_help=True)

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


@app.command("list")
def list_(
    *,
    subject: Annotated[str | None, typer.Option(help="Id of whom it was done to.")] = None,
    actor: Annotated[str | None, typer.Option(help="Id of who did it.")] = None,
    action: Annotated[str | None, typer.Option(help="What was done, as session.opened.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=_TIMES, help="Earliest, UTC.")] = None,
    address: Annotated[
        str | None, typer.Option(help="The client's address; for IPv6 its /64 network.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most events to show.")] = 100,
    database_url: DatabaseUrl = None,
    data_directory: DataDirectory = None,
    as_json: AsJson = False,
) -> None:
    """Show events, newest first."""
    from guilder.audit.trail import Search
    from guilder.settings import load_settings

    settings = load_settings(database_url=database_url, data_directory=data_directory)
    wanted = Search(
        subject=subject,
        actor=actor,
        action=action,
        since=since.replace(tzinfo=UTC) if since else None,
        address=address,
    )
    for entry in asyncio.run(found(settings, wanted, limit=limit)):
        plain = as_plain(entry)
        typer.echo(json.dumps(plain) if as_json else as_line(plain))


@app.command()
def verify(
    *,
    against: Annotated[
        Path | None,
        typer.Option(
            help="File with what `guilder audit head` printed earlier, kept elsewhere.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    database_url: DatabaseUrl = None,
    data_directory: DataDirectory = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the chain: no event was changed, removed, added or moved."""
    from guilder.audit.verify import read_noted
    from guilder.settings import load_settings

    settings = load_settings(database_url=database_url, data_directory=data_directory)
    noted = None if against is None else read_noted(against.read_bytes())
    report = asyncio.run(verified(settings, noted))
    typer.echo(json.dumps(as_json_report(report)) if as_json else as_text(report))
    if not report.ok:
        raise typer.Exit(ExitCode.WRONG)


@app.command()
def head(*, database_url: DatabaseUrl = None, data_directory: DataDirectory = None) -> None:
    """Print where the chain ends, as a line of JSON. Keep it elsewhere, for `verify --against`."""
    from guilder.settings import load_settings

    settings = load_settings(database_url=database_url, data_directory=data_directory)
    noted = asyncio.run(current_head(settings))
    typer.echo(json.dumps({"position": noted.position, "hash": noted.hash, "time": noted.time}))


async def found(settings: "Settings", wanted: "Search", *, limit: int) -> "list[Entry]":
    """Return events of the database that the settings name, newest first.

    Raises:
        NoDatabase: There was never a Guilder in the data directory.
        NotMigrated: `guilder migrate` has to run first.
        StorageUnavailable: The database is away.
        SecretMissing: In production, the secret that hides addresses is not given.
    """
    from guilder.audit.trail import AddressKey, AuditTrail
    from guilder.cli import books
    from guilder.kernel.clock import utc_now
    from guilder.server_secrets import load_secrets

    key = None
    if wanted.address is not None:
        key = AddressKey(load_secrets(settings).pepper.get_secret_value().encode())
    async with books.existing(settings, is_beside=True) as storage:
        trail = AuditTrail(storage, clock=utc_now, address_key=key)
        return await trail.search(wanted, limit=limit)


async def verified(settings: "Settings", noted: "Noted | None") -> "AuditReport":
    """Verify the record of the database that the settings name.

    Raises:
        NoDatabase: There was never a Guilder in the data directory.
        NotMigrated: `guilder migrate` has to run first.
        StorageUnavailable: The database is away.
    """
    from guilder.audit.verify import verify as verify_record
    from guilder.cli import books

    async with books.existing(settings, is_beside=True) as storage:
        return await verify_record(storage, noted=noted)


async def current_head(settings: "Settings") -> "Noted":
    """Return the head of the database that the settings name; it raises what `verified` does."""
    from guilder.audit.verify import noted_head
    from guilder.cli import books
    from guilder.kernel.clock import utc_now

    async with books.existing(settings, is_beside=True) as storage:
        return await noted_head(storage, now=utc_now())


def as_plain(entry: "Entry") -> dict[str, Any]:
    """Return an event as plain data."""
    from guilder.kernel.clock import rfc3339

    event = entry.event
    return {
        "position": entry.position,
        "id": event.id,
        "time": rfc3339(event.created_at),
        "action": event.action,
        "outcome": event.outcome,
        "actor": event.actor,
        "subject": event.subject,
        "details": event.details,
        "address": event.address,
    }


def as_line(plain: dict[str, Any]) -> str:
    """Return an event as one line."""
    details = "".join(f" {key}={value}" for key, value in sorted(plain["details"].items()))
    place = "unsealed" if plain["position"] is None else plain["position"]
    return (
        f"{plain['time']} {place} {plain['action']} {plain['outcome']}: "
        f"{plain['actor']} -> {plain['subject']}{details}"
    )


def as_json_report(report: "AuditReport") -> dict[str, Any]:
    """Return the report as plain data."""
    wrong = report.difference
    return {
        "ok": report.ok,
        "position": report.position,
        "hash": report.hash,
        "waiting": report.waiting,
        "difference": wrong and {"position": wrong.position, "what": wrong.what},
    }


def as_text(report: "AuditReport") -> str:
    """Return the report as sentences."""
    counted = f"Read {report.position} sealed events and {report.waiting} that wait for their seal."
    if report.difference is not None:
        place = f"The first difference is at position {report.difference.position}"
        return f"{counted}\nThe record is NOT right. {place}: {report.difference.what}."
    return f"{counted}\nThe chain ends with {report.hash}.\nThe record is right."
