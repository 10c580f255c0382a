"""What stands on accounts together, by code or by owner, now or at an earlier place in the journal.

Nothing is kept for it: the sums of now are the stored balances', those of earlier the legs'.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

from msgspec import Struct

from guilder.kernel.money import MAX_MINOR
from guilder.storage.base import LedgerReads, LedgerStorage
from guilder.storage.records import Account, Leg, Total, TotalBy

PAGE = 2_000
"""Accounts whose legs are looked up at a time."""
_DIGITS = len(str(MAX_MINOR))
_FORMS = "Give a position of the journal, or an RFC 3339 time with its offset, such as `Z`."


class TotalsAt(Struct, frozen=True, kw_only=True):
    """Sums at a position of the journal. The same position has the same sums for ever.

    Args:
        totals: In the order of asset and name; of accounts that something has happened to.

    Invariants:
        `posted` of one asset sums to zero; `pending_in` and `pending_out` are alike.
    """

    position: int
    totals: list[Total]


async def totals_at(
    book: LedgerStorage, *, by: TotalBy, at: int | datetime | None = None
) -> TotalsAt:
    """Add up what stands on all accounts, exactly.

    Args:
        by: What accounts have in common that are added up.
        at: As of `place_of`. Of now it is one statement of the database; of earlier it reads a leg
            of every account.

    Raises:
        StorageUnavailable: The database is away.
    """
    async with book.snapshot() as reads:
        newest = (await reads.head()).position
        position = await place_of(reads, at, newest=newest)
        totals = await (reads.totals(by) if position == newest else _earlier(reads, by, position))
    return TotalsAt(position=position, totals=totals)


def read_place(text: str) -> int | datetime:
    """Read a position of the journal, or an RFC 3339 time.

    Raises:
        ValueError: It is neither; the message is for people.
    """
    if text.isascii() and text.isdigit():
        return int(text) if len(text) < _DIGITS else MAX_MINOR
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(_FORMS)


async def place_of(reads: LedgerReads, at: int | datetime | None, *, newest: int) -> int:
    """Return the position that somebody means by a place in the journal.

    Args:
        at: A position, or a time: the last position recorded at or before it. What has not come
            yet is now; None is now.
        newest: Where the book ends.
    """
    if isinstance(at, datetime):
        return await position_at(reads, at, newest=newest)
    return newest if at is None else min(at, newest)


async def position_at(reads: LedgerReads, time: datetime, *, newest: int) -> int:
    """Return the last position recorded at or before a time; 0 before the first.

    Recorded times never run backwards, so that halving finds it: one row for each binary digit of
    the journal's length.

    Args:
        newest: Where the book ends.
    """
    low, high = 0, newest
    while low < high:
        middle = (low + high + 1) >> 1
        (transfer,) = await reads.transfers_after(middle - 1, 1)
        if transfer.created_at <= time:
            low = middle
        else:
            high = middle - 1
    return low


async def _earlier(reads: LedgerReads, by: TotalBy, position: int) -> list[Total]:
    sums: dict[tuple[str, str], Total] = {}
    async for account, leg in _legs(reads, position):
        name = account.code if by is TotalBy.CODE else account.owner
        key = (account.asset, name)
        before = sums.get(key) or Total(
            asset=account.asset, name=name, accounts=0, posted=0, pending_in=0, pending_out=0
        )
        sums[key] = Total(
            asset=account.asset,
            name=name,
            accounts=before.accounts + 1,
            posted=before.posted + leg.posted,
            pending_in=before.pending_in + leg.pending_in,
            pending_out=before.pending_out + leg.pending_out,
        )
    return [sums[key] for key in sorted(sums)]


async def _legs(reads: LedgerReads, position: int) -> AsyncIterator[tuple[Account, Leg]]:
    """Yield each account with what stood on it, if anything had happened to it."""
    last: UUID | None = None
    while page := await reads.accounts_after(last, PAGE):
        last = page[-1].id
        legs = await reads.legs_at([each.id for each in page], position)
        for account in page:
            if account.id in legs:
                yield account, legs[account.id]
