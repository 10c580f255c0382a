"""What stood on a wallet at an earlier place in the journal, or time. The journal keeps it all."""

from datetime import datetime

from msgspec import Struct

from guilder.kernel.ids import WalletId
from guilder.storage.base import LedgerReads, LedgerStorage, TransferFilter
from guilder.storage.records import Account, Leg


class BalancesAt(Struct, frozen=True, kw_only=True):
    """The balances that the last transfers up to a position left.

    Args:
        position: Of the journal. The same position has the same balances for ever.
        balances: By currency.
    """

    position: int
    balances: dict[str, Leg]


async def balances_at(
    book: LedgerStorage, wallet_id: WalletId, at: int | datetime | None
) -> BalancesAt:
    """Return a wallet's balances as they were.

    Args:
        at: A position of the journal, or a time: the last position recorded at
            or before it. What has not come yet is now; None is now.
    """
    async with book.snapshot() as reads:
        position = (await reads.head()).position
        if isinstance(at, datetime):
            position = await position_at(reads, at, newest=position)
        elif at is not None:
            position = min(at, position)
        accounts = sorted(await reads.accounts_of(wallet_id), key=lambda each: each.asset)
        balances = {each.asset: await _leg_at(reads, each, position) for each in accounts}
    return BalancesAt(position=position, balances=balances)


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


async def _leg_at(reads: LedgerReads, account: Account, position: int) -> Leg:
    """Return the balances that the last transfer at or before a position left on an account."""
    found = await reads.account_transfers(
        [account.id], TransferFilter(), before_position=position + 1, limit=1
    )
    if not found:
        return Leg(0, 0, 0, 0)
    (transfer,) = found
    return transfer.debit if transfer.debit_account_id == account.id else transfer.credit
