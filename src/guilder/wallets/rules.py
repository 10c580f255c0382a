"""How a transfer in the journal looks from one of its two sides."""

from collections.abc import Container
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from guilder.storage.records import Leg, Transfer, TransferKind


class TransactionType(StrEnum):
    """Which way the money went, seen from the wallet."""

    CREDIT = "credit"
    """In."""
    DEBIT = "debit"
    """Out."""


class TransactionStatus(StrEnum):
    """Whether the money has moved."""

    COMPLETED = "completed"
    """It has."""
    PENDING = "pending"
    """It is reserved by a hold."""


KINDS_BY_STATUS: dict[TransactionStatus, tuple[TransferKind, ...]] = {
    TransactionStatus.COMPLETED: (
        TransferKind.POST,
        TransferKind.CAPTURE,
        TransferKind.PARTIAL_CAPTURE,
    ),
    TransactionStatus.PENDING: (TransferKind.HOLD,),
}
"""A release moves nothing and reserves nothing: it is no line of a wallet's history."""

HISTORY_KINDS = tuple(kind for kinds in KINDS_BY_STATUS.values() for kind in kinds)


class Line(Struct, frozen=True, kw_only=True):
    """One transfer, seen from one wallet.

    Args:
        transfer: As it stands in the journal.
        account_id: The wallet's account.
        counterparty_account_id: The other one.
        leg: The wallet's side: the balances that resulted.
    """

    transfer: Transfer
    account_id: UUID
    counterparty_account_id: UUID
    type: TransactionType
    status: TransactionStatus
    leg: Leg


def line(transfer: Transfer, mine: Container[UUID]) -> Line:
    """Return a transfer as it looks from the side whose accounts are `mine`."""
    is_debit = transfer.debit_account_id in mine
    accounts = (transfer.debit_account_id, transfer.credit_account_id)
    account_id, counterparty = accounts if is_debit else accounts[::-1]
    is_hold = transfer.kind is TransferKind.HOLD
    return Line(
        transfer=transfer,
        account_id=account_id,
        counterparty_account_id=counterparty,
        type=TransactionType.DEBIT if is_debit else TransactionType.CREDIT,
        status=TransactionStatus.PENDING if is_hold else TransactionStatus.COMPLETED,
        leg=transfer.debit if is_debit else transfer.credit,
    )
