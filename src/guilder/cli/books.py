"""`guilder verify` and `guilder migrate`: what the command does on a database without serving."""

from pathlib import Path
from typing import Any

from guilder.kernel.errors import GuilderError, Kind
from guilder.ledger.verify import Report
from guilder.ledger.verify import verify as verify_book
from guilder.settings import Settings
from guilder.storage import open_storage
from guilder.storage.base import Storage
from guilder.storage.embedded_files import Layout


class NoDatabase(GuilderError):
    """Books are verified where there are books."""

    code = "no_database"
    kind = Kind.UNAVAILABLE
    title = "There is no database"


async def verify(settings: Settings) -> Report:
    """Verify the book of the database that the settings name.

    Raises:
        NoDatabase: There was never a Guilder in the data directory.
        DatabaseInUse: The bundled database is run by a Guilder now.
        StorageUnavailable: The database is away.
    """
    if settings.database_url is None:
        _must_be_there(settings.data_directory)
    storage = await _opened(settings)
    try:
        return await verify_book(storage.ledger())
    finally:
        await storage.close()


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


def _must_be_there(data_directory: Path) -> None:
    """Refuse to make a new database only to find it empty."""
    if not Layout(data_directory).data.is_dir():
        raise NoDatabase(f"There are no books in {data_directory}. Name a --data-directory.")


async def _opened(settings: Settings) -> Storage:
    """Open the database that the settings name."""
    url, owner_url = settings.database_url, settings.database_owner_url
    return await open_storage(
        url.get_secret_value() if url else None,
        data_directory=settings.data_directory,
        owner_url=owner_url.get_secret_value() if owner_url else None,
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
    totals = ", ".join(f"{minor} {asset}" for asset, minor in report.totals.items()) or "nothing"
    return (
        f"{counted}\nOn accounts above zero, in minor units: {totals}; below zero as much.\n"
        f"The chain ends with {report.hash.hex()}.\nThe books are right."
    )
