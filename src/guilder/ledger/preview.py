"""What the journal would answer, without asking it: for requests that must change nothing."""

from collections.abc import Sequence
from datetime import datetime

from guilder.ledger.decide import decide
from guilder.ledger.limits import reversal_counter_id
from guilder.ledger.models import Outcome, TransferRequest
from guilder.storage.base import LedgerReads
from guilder.storage.records import Account


async def preview(
    reads: LedgerReads,
    requests: Sequence[TransferRequest],
    *,
    now: datetime,
    unopened: Sequence[Account] = (),
) -> list[Outcome]:
    """Decide requests on the book as it is, and forget the decision.

    Args:
        reads: A snapshot of the book, so that everything is of one moment.
        now: Chooses the windows of limits; the time of what would be created.
        unopened: Accounts that would be opened first, as they are when new.

    Returns:
        One outcome for each request. Positions and hashes in them are not promised.
    """
    account_ids = {r.debit_account_id for r in requests} | {r.credit_account_id for r in requests}
    accounts = {account.id: account for account in unopened}
    accounts |= await reads.accounts(list(account_ids))
    reversed_ids = [r.reverses_id for r in requests if r.reverses_id is not None]
    existing = await reads.transfers([*(r.id for r in requests), *reversed_ids])
    holds = await reads.holds([r.hold_id for r in requests if r.hold_id is not None])
    counters = await reads.counters(
        [
            *(limit.counter_id(r.asset, now) for r in requests for limit in r.limits),
            *map(reversal_counter_id, reversed_ids),
        ]
    )
    decision = decide(
        requests,
        accounts=accounts,
        holds=holds,
        existing=existing,
        head=await reads.head(),
        now=now,
        counters=counters,
    )
    return decision.outcomes
