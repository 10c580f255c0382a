"""What goes into the ledger and what comes out: a request for a transfer, and the verdict on it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from guilder.ledger.limits import Limit
from guilder.storage.records import Transfer, TransferKind

AMOUNT_MAX = 2**63 - 1
"""Largest amount and balance, in minor units: int64, what both storage engines keep exactly."""


class Verdict(StrEnum):
    """The ledger's answer to one request. Where several apply, the first in this order is given."""

    CREATED = "created"
    """It is in the journal, and was not before."""
    EXISTS = "exists"
    """It was in the journal before, asked for by the same request."""
    EXISTS_DIFFERENT = "exists_different"
    """Its id is in the journal, asked for by another request."""
    ACCOUNT_NOT_FOUND = "account_not_found"
    """One of its accounts does not exist."""
    ACCOUNT_FROZEN = "account_frozen"
    """Nothing may leave the debit account. (Money may still arrive in a frozen account.)"""
    ACCOUNT_CLOSED = "account_closed"
    """One of its accounts is closed."""
    ASSET_MISMATCH = "asset_mismatch"
    """One of its accounts is kept in another asset."""
    SAME_ACCOUNT = "same_account"
    """It would debit and credit one account."""
    AMOUNT_INVALID = "amount_invalid"
    """The amount is not between 1 and 2^63-1. (A release names none: 0.)"""
    INSUFFICIENT_FUNDS = "insufficient_funds"
    """The debit account has less available."""
    LIMIT_EXCEEDED = "limit_exceeded"
    """A limit would be passed. The outcome says which."""
    ORIGINAL_NOT_FOUND = "original_not_found"
    """There is no such transfer to take back between these accounts."""
    REVERSAL_EXCEEDS_ORIGINAL = "reversal_exceeds_original"
    """More would be taken back than was moved."""
    HOLD_NOT_FOUND = "hold_not_found"
    """There is no such hold between these accounts."""
    HOLD_SETTLED = "hold_settled"
    """Nothing is left of the hold."""
    HOLD_EXPIRED = "hold_expired"
    """The hold can only be released now."""
    CAPTURE_EXCEEDS_HOLD = "capture_exceeds_hold"
    """More than is left of the hold."""
    GROUP_FAILED = "group_failed"
    """Another transfer of its group was refused."""
    OVERFLOW = "overflow"
    """A balance would leave the range of int64."""


class TransferRequest(Struct, frozen=True, kw_only=True, gc=False):
    """A transfer that somebody asks for.

    Args:
        id: Chosen by the caller and kept by him for every retry.
        amount_minor: Minor units of `asset`, 1 to 2^63-1; 0 for a release.
        fingerprint: 32 bytes, SHA-256 of whatever makes two requests the same request.
        group_id: Requests of one group stand next to each other in one call and
            succeed or fail together.
        hold_id: The hold that a capture or release is about. A hold's own id is its transfer's id.
        reverses_id: The transfer that this one takes back, in part or whole; it goes the other way.
        limits: What it must stay within. Only for what posts or holds.
        expires_at: Of a hold. Kept, as `effective_at`, to the millisecond.
        effective_at: When it counts; when it is recorded, if nobody says otherwise.
    """

    id: UUID
    debit_account_id: UUID
    credit_account_id: UUID
    amount_minor: int
    asset: str
    code: str
    fingerprint: bytes
    kind: TransferKind = TransferKind.POST
    group_id: UUID | None = None
    hold_id: UUID | None = None
    reverses_id: UUID | None = None
    limits: tuple[Limit, ...] = ()
    expires_at: datetime | None = None
    effective_at: datetime | None = None
    reference: str = ""
    metadata: dict[str, str] = {}


class Outcome(Struct, frozen=True, gc=False):
    """The verdict on one request, the transfer in the journal if it is there, the limit it met."""

    verdict: Verdict
    transfer: Transfer | None = None
    limit: Limit | None = None
