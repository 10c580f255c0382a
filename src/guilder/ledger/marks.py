"""Marks: notes in the journal that take a transfer's id, so that it can never be posted.

What may be paid once (a request for money, one occurrence of a schedule) is paid under an id that
follows from it. Withdrawing it takes the same id, for a hold of one minor unit between two
accounts of ours that is released at once: nothing moves. Whoever has the id first has decided, for
good, across processes, stalls and crashes; no other record can contradict it.
"""

import hashlib
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from guilder.kernel.errors import check
from guilder.kernel.ids import derived_uuid
from guilder.ledger.chart import AccountCode, system_account
from guilder.ledger.errors import refusal
from guilder.ledger.journal import Journal
from guilder.ledger.models import TransferRequest, Verdict
from guilder.storage.records import Account, Transfer, TransferKind

CODE = "mark"
_DECIDED = (Verdict.CREATED, Verdict.EXISTS, Verdict.EXISTS_DIFFERENT)


class Mark(Struct, frozen=True, kw_only=True):
    """What will not be paid.

    Args:
        transfer_id: The id under which it would have been paid.
        asset: The currency in which it would have been paid.
        subject: TypeID of what it is about.
        reason: Why, in one word, such as `cancelled`.
    """

    transfer_id: UUID
    asset: str
    subject: str
    reason: str


async def place(journal: Journal, mark: Mark, *, now: datetime) -> Transfer:
    """Take the id unless something has it already.

    Args:
        now: For accounts that are new.

    Returns:
        What has the id, from now on and for ever: a mark (see `reason_of`), or the transfer that
        came first.

    Raises:
        Unavailable: The outcome is unknown; placing it again is safe.
    """
    accounts = _accounts(mark, now)
    requests = _requests(mark, accounts)
    outcome = (await journal.post_all(requests))[0]
    if outcome.verdict is Verdict.ACCOUNT_NOT_FOUND:
        await journal.open_accounts(accounts)
        outcome = (await journal.post_all(requests))[0]
    if outcome.verdict not in _DECIDED:
        raise refusal(outcome.verdict)
    check(outcome.transfer is not None, "an id that is taken has a transfer")
    return outcome.transfer  # type: ignore[return-value]


def reason_of(transfer: Transfer) -> str | None:
    """Return why something will not be paid; None if it was paid."""
    return transfer.metadata["reason"] if transfer.code == CODE else None


def _accounts(mark: Mark, now: datetime) -> tuple[Account, Account]:
    one, other = (
        system_account(AccountCode.MARKS, owner=owner, asset=mark.asset, now=now)
        for owner in ("from", "to")
    )
    return one, other


def _requests(mark: Mark, accounts: tuple[Account, Account]) -> tuple[TransferRequest, ...]:
    said = (mark.transfer_id.hex, mark.asset, mark.subject, mark.reason)
    hold = TransferRequest(
        id=mark.transfer_id,
        kind=TransferKind.HOLD,
        debit_account_id=accounts[0].id,
        credit_account_id=accounts[1].id,
        amount_minor=1,
        asset=mark.asset,
        code=CODE,
        fingerprint=hashlib.sha256("\n".join(said).encode()).digest(),
        metadata={"subject": mark.subject, "reason": mark.reason},
    )
    release = TransferRequest(
        id=derived_uuid("mark-release", mark.transfer_id.bytes),
        kind=TransferKind.RELEASE,
        debit_account_id=hold.debit_account_id,
        credit_account_id=hold.credit_account_id,
        amount_minor=0,
        asset=mark.asset,
        code=CODE,
        fingerprint=hold.fingerprint,
        hold_id=hold.id,
        metadata=hold.metadata,
    )
    return hold, release
