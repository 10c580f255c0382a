"""Asks for one fresh factor for a whole batch of transfers."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import cast

from starlette.requests import Request

from guilder.identity.authentication import Principal
from guilder.identity.step_up import step_up_of
from guilder.ledger.journal import Journal
from guilder.transfers.service import Instruction, transfer_id_of
from guilder.wallets.step_up import Spending, confirm_spending


async def confirm_batch(
    request: Request, sender: Principal, items: Sequence[Instruction], *, key: str, mode: str
) -> None:
    """Ask for a fresh factor, if the items of a currency are together much.

    Much money is no less in many parts. The approval is for these very items, in this order.

    Raises:
        StepUpRequired, StepUpRefused: They were not approved.
    """
    step_up = step_up_of(request)
    totals: Counter[str] = Counter()
    for item in items:
        totals[item.currency] += item.amount_minor
    much = [code for code, amount in sorted(totals.items()) if step_up.asks(amount, code)]
    if not much:
        return
    digest = hashlib.sha256(b"".join(item.fingerprint for item in items)).hexdigest()
    ids = [transfer_id_of(sender, item.key) for item in items]

    async def is_done() -> bool:
        journal = cast(Journal, request.app.state.journal)
        return len(await journal.book.transfers(ids)) == len(set(ids))

    spending = Spending(
        operation="transfer_batch",
        amount_minor=totals[much[0]],
        currency=much[0],
        payee="batch",
        key=key,
        more={"items": digest, "count": len(items), "mode": mode},
    )
    await confirm_spending(request, sender, spending, is_done=is_done)
