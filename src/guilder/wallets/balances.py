"""What stood on a wallet at an earlier place in the journal, or time. The journal keeps it all."""

from datetime import datetime

from msgspec import Struct

from guilder.kernel.ids import WalletId
from guilder.ledger.totals import place_of
from guilder.storage.base import LedgerStorage
from guilder.storage.records import Leg

_NOTHING = Leg(0, 0, 0, 0)


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
            or before it. What has not come yet is now; None is now. A transfer that was dated back
            changes what is, not what was: see `docs/concepts/ledger.md`.
    """
    async with book.snapshot() as reads:
        position = await place_of(reads, at, newest=(await reads.head()).position)
        accounts = sorted(await reads.accounts_of(wallet_id), key=lambda each: each.asset)
        legs = await reads.legs_at([each.id for each in accounts], position)
    return BalancesAt(
        position=position,
        balances={each.asset: legs.get(each.id, _NOTHING) for each in accounts},
    )
