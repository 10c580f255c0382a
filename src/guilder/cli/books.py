"""`guilder verify`, `migrate`, `export`, `import`: what is done on a database without serving."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from guilder.audit.verify import verify as verify_audit
from guilder.kernel.errors import GuilderError, Kind
from guilder.ledger.checkpoints import (
    Checkpoint,
    CheckpointKey,
    Statement,
    check_all,
    read_statement,
    verify_since,
)
from guilder.ledger.export import export_book, import_book
from guilder.ledger.verify import Difference, Report
from guilder.ledger.verify import verify as verify_book
from guilder.server_secrets import SecretMissing, known_checkpoint_key
from guilder.settings import Settings
from guilder.storage import open_storage
from guilder.storage.base import Storage
from guilder.storage.embedded_files import Layout
from guilder.storage.errors import DatabaseInUse, NotMigrated
from guilder.wallets.accounts import account_fault


class NoDatabase(GuilderError):
    """Books are verified where there are books."""

    code = "no_database"
    kind = Kind.UNAVAILABLE
    title = "There is no database"


async def verify(settings: Settings, *, since: Path | None = None) -> Report:
    """Verify the book of the database that the settings name, its checkpoints, its audit record.

    Args:
        since: File with a checkpoint that was kept elsewhere: only what follows it is read.

    Raises:
        NoDatabase: There was never a Guilder in the data directory.
        DatabaseInUse: The bundled database is run by a Guilder now.
        StorageUnavailable: The database is away.
        CheckpointUnreadable: The file holds none.
        SecretMissing: The key of the checkpoint is not known.
    """
    secret = known_checkpoint_key(settings)
    key = CheckpointKey(secret.get_secret_value().encode()) if secret else None
    statement = None if since is None else _kept_checkpoint(since)
    async with existing(settings) as storage:
        if statement is not None:
            if key is None:
                raise SecretMissing("Set GUILDER_CHECKPOINT_KEY, or GUILDER_PEPPER without one.")
            return await verify_since(storage.ledger(), key, statement)
        report = await verify_book(storage.ledger(), account_fault=account_fault)
        if report.ok and key is not None:
            await check_all(storage.documents(Checkpoint), storage.ledger(), key, report)
        if report.ok:
            await _check_audit(storage, report)
        return report


async def _check_audit(storage: Storage, report: Report) -> None:
    """Verify the audit record too, and write into the report of the books.

    A database that no Guilder with such a record has served has none; that is not wrong.
    """
    with suppress(NotMigrated):
        audit = await verify_audit(storage)
        report.audited = audit.position
        if audit.difference is not None:
            what = f"of the audit record: {audit.difference.what}"
            report.difference = Difference(audit.difference.position, what)


def _kept_checkpoint(file: Path) -> Statement:
    return read_statement(file.read_bytes())


async def migrate(settings: Settings) -> list[str]:
    """Bring that database up to date and return what was done.

    Raises:
        DatabaseInUse: The bundled database is run by a Guilder now.
        StorageUnavailable: The database is away.
    """
    # Not for `verify`, which is played by every demo: it takes a second to import.
    from guilder.app.features import MODELS  # noqa: PLC0415

    storage = await _opened(settings)
    try:
        return await storage.migrate(MODELS)
    finally:
        await storage.close()


async def export(settings: Settings, file: BinaryIO) -> str:
    """Write the whole book of that database into a file, and say what was written.

    Raises:
        NoDatabase: There was never a Guilder in the data directory.
        DatabaseInUse: The bundled database is run by a Guilder now.
        StorageUnavailable: The database is away.
    """
    async with existing(settings) as storage:
        head = await export_book(storage.ledger(), file.write)
    return f"Exported up to position {head.position}; the chain ends with {head.hash.hex()}."


async def import_(settings: Settings, lines: Iterable[bytes]) -> str:
    """Write an export into that database, which has no book yet, and say what was written.

    Raises:
        BookNotEmpty: There is one.
        ExportRefused: It is not a whole and right export.
        DatabaseInUse: The bundled database is run by a Guilder now.
        StorageUnavailable: The database is away.
    """
    await migrate(settings)
    async with existing(settings) as storage:
        head = await import_book(storage.ledger(), lines)
    return f"Imported up to position {head.position}; the chain ends with {head.hash.hex()}."


@asynccontextmanager
async def existing(settings: Settings, *, is_beside: bool = False) -> AsyncIterator[Storage]:
    """Open the database of the settings; refuse to make one.

    Args:
        is_beside: A Guilder may be running the bundled one now, and is joined.
    """
    if settings.database_url is None:
        _must_be_there(settings.data_directory)
    try:
        storage = await _opened(settings)
    except DatabaseInUse:
        if not is_beside:
            raise
        storage = await _opened(settings, joins=True)
    try:
        yield storage
    finally:
        await storage.close()


def _must_be_there(data_directory: Path) -> None:
    """Refuse to make a new database only to find it empty."""
    if not Layout(data_directory).data.is_dir():
        raise NoDatabase(f"There are no books in {data_directory}. Name a --data-directory.")


async def _opened(settings: Settings, *, joins: bool = False) -> Storage:
    """Open the database that the settings name."""
    url, owner_url = settings.database_url, settings.database_owner_url
    return await open_storage(
        url.get_secret_value() if url else None,
        data_directory=settings.data_directory,
        joins=joins,
        owner_url=owner_url.get_secret_value() if owner_url else None,
        accepted_settings=frozenset(settings.database_accepted_settings),
    )


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as plain data."""
    difference = report.difference
    return {
        "ok": report.ok,
        "position": report.position,
        "hash": report.hash.hex(),
        "accounts": report.accounts,
        "transfers": report.transfers,
        "holds_open": report.holds_open,
        "totals": report.totals,
        "checkpoints": report.checkpoints,
        "audited": report.audited,
        "difference": difference and {"position": difference.position, "what": difference.what},
    }


def as_text(report: Report) -> str:
    """Return the report as sentences."""
    counted = (
        f"Read {report.transfers} transfers up to position {report.position}, "
        f"{report.accounts} accounts, {report.holds_open} open holds."
    )
    if report.difference is not None:
        place = f"The first difference is at position {report.difference.position}"
        return f"{counted}\nThe books are NOT right. {place}: {report.difference.what}."
    if report.checkpoints is not None:
        counted += f"\nSigned checkpoints that agree: {report.checkpoints}."
    if report.audited is not None:
        counted += f"\nSealed events of the audit record that agree: {report.audited}."
    totals = ", ".join(f"{minor} {asset}" for asset, minor in report.totals.items()) or "nothing"
    return (
        f"{counted}\nOn accounts above zero, in minor units: {totals}; below zero as much.\n"
        f"The chain ends with {report.hash.hex()}.\nThe books are right."
    )
