"""Makes sure that every transfer which asked for a payout has one, whatever happened to who posted
it.
"""

from collections.abc import Sequence

from guilder.payouts.models import Payout
from guilder.payouts.posting import REQUESTED, payout_of
from guilder.storage.base import Transaction
from guilder.storage.records import Transfer


async def write_payouts(transaction: Transaction, transfers: Sequence[Transfer]) -> None:
    """Write the payouts that transfers asked for and that nobody has written yet."""
    payouts = transaction.documents(Payout)
    wanted = [payout_of(transfer) for transfer in transfers if transfer.code == REQUESTED]
    known = await payouts.get_many([payout.id for payout in wanted])
    for payout in wanted:
        if payout.id not in known:
            await payouts.insert(payout)
