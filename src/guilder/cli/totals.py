# ruff: noqa: PLC0415 - as in commands.py.
"""`guilder totals`: the trial balance, and what stands on accounts by owner, now or earlier."""

import asyncio
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from guilder.cli.options import AsJson, DatabaseUrl, DataDirectory

if TYPE_CHECKING:
    from guilder.ledger.totals import TotalsAt

_COLUMNS = ("asset", "name", "accounts", "posted", "pending_in", "pending_out")


class By(StrEnum):
    """What is added up. As `TotalBy`, which would bring half of Guilder with it."""

    CODE = "code"
    OWNER = "owner"


def totals(
    *,
    by: Annotated[
        By, typer.Option(help="Add up by code, which is the trial balance, or by owner.")
    ] = By.CODE,
    as_of: Annotated[
        str | None,
        typer.Option(help="Position of the journal, or RFC 3339 time of recording; now without."),
    ] = None,
    database_url: DatabaseUrl = None,
    data_directory: DataDirectory = None,
    as_json: AsJson = False,
) -> None:
    """Add up what stands on all accounts, in minor units: the trial balance. Changes nothing."""
    from guilder.cli.books import existing
    from guilder.ledger.totals import TotalsAt, read_place, totals_at
    from guilder.settings import load_settings
    from guilder.storage.records import TotalBy

    try:
        at = None if as_of is None else read_place(as_of)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--as-of") from error
    settings = load_settings(database_url=database_url, data_directory=data_directory)

    async def add_up() -> TotalsAt:
        async with existing(settings, is_beside=True) as storage:
            return await totals_at(storage.ledger(), by=TotalBy(by), at=at)

    found = asyncio.run(add_up())
    typer.echo(_as_json(found) if as_json else _as_text(found, by))


def _as_json(found: "TotalsAt") -> str:
    lines = [{name: getattr(each, name) for name in _COLUMNS} for each in found.totals]
    return json.dumps({"position": found.position, "totals": lines})


def _as_text(found: "TotalsAt", by: By) -> str:
    """Return a table: texts to the left, numbers to the right."""
    rows: list[tuple[str, ...]] = [("asset", by.value, *_COLUMNS[2:])]
    rows += [tuple(str(getattr(each, name)) for name in _COLUMNS) for each in found.totals]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)  # noqa: PLR2004 - asset and name
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([f"At position {found.position}, in minor units:", *table])
