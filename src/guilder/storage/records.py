"""The stored shapes of the books: accounts, transfers, holds, counters, the head.

Amounts are int64 minor units.
Sides are seen from the account: a credit raises `posted`, a debit lowers it, so over all accounts
of one asset `posted` sums to zero. A user's wallet is our liability and stays at or above zero;
a gateway's clearing account is our claim and goes below.

The records hold no cycles, so the garbage collector need not visit them (`gc=False`): batches make
tens of thousands.
"""

from datetime import datetime
from enum import IntEnum, StrEnum
from uuid import UUID

from msgspec import Struct


class TransferKind(IntEnum):
    """What a transfer does to the balances of its two accounts. Stored as its number."""

    POST = 1
    """Moves the amount."""
    HOLD = 2
    """Reserves it: debit `pending_out` and credit `pending_in` grow."""
    CAPTURE = 3
    """Moves all or part of a hold, and releases the rest."""
    PARTIAL_CAPTURE = 4
    """Moves part of a hold, and keeps the rest reserved."""
    RELEASE = 5
    """Gives back what is left of a hold."""


class Account(Struct, frozen=True, kw_only=True, gc=False):
    """A line in the books: one asset, one side of balances.

    Invariants:
        `pending_in` and `pending_out` are never negative. With `no_overdraft`,
        `available` is never negative. `sequence` counts the legs, from 1, without a gap.
    """

    id: UUID
    asset: str
    """ISO 4217 code or a declared asset."""
    code: str
    """Place in the chart of accounts, such as `wallet`."""
    owner: str
    """TypeID of the wallet it belongs to, or the name of a system account."""
    no_overdraft: bool
    is_frozen: bool = False
    is_closed: bool = False
    posted: int = 0
    pending_in: int = 0
    pending_out: int = 0
    sequence: int = 0
    created_at: datetime

    @property
    def available(self) -> int:
        """Minor units that may leave: what is posted less what open holds reserve."""
        return self.posted - self.pending_out


class Leg(Struct, frozen=True, gc=False):
    """One side of a transfer: the account's place in its own order and the resulting balances."""

    sequence: int
    posted: int
    pending_in: int
    pending_out: int


class Counted(Struct, frozen=True, gc=False):
    """What a transfer added to a counter: minor units, or 1 where transfers are counted."""

    counter_id: UUID
    added: int


class Transfer(Struct, frozen=True, gc=False):
    """An amount from a debit account to a credit account, as it stands in the journal. Immutable.

    Invariants:
        1 <= `amount_minor` <= 2^63-1. The two accounts differ and have the transfer's asset.
    """

    position: int
    """Gapless place in the book, from 1."""
    id: UUID
    kind: TransferKind
    debit_account_id: UUID
    credit_account_id: UUID
    amount_minor: int
    asset: str
    code: str
    """The business event, such as `transfer` or `payment`."""
    group_id: UUID | None
    hold_id: UUID | None
    expires_at: datetime | None
    effective_at: datetime
    """When it counts."""
    created_at: datetime
    """When it was recorded: database time of its batch."""
    reference: str
    """The other side's identifier, such as a gateway's."""
    metadata: dict[str, str]
    fingerprint: bytes
    """SHA-256 of the request that asked for it."""
    debit: Leg
    credit: Leg
    hash: bytes
    """SHA-256 over the previous transfer's hash and this one's canonical encoding."""
    reverses_id: UUID | None = None
    """The transfer that this one takes back, in part or whole."""
    counted: tuple[Counted, ...] = ()
    """What it added to the counters of limits."""


class Hold(Struct, frozen=True, kw_only=True, gc=False):
    """What is left of a reserved amount. `remaining_minor` is zero once captured or released."""

    id: UUID
    debit_account_id: UUID
    credit_account_id: UUID
    asset: str
    amount_minor: int
    remaining_minor: int
    expires_at: datetime | None


class Counter(Struct, frozen=True, gc=False):
    """How much of a limit is used up, or how much of a transfer is reversed."""

    id: UUID
    used: int


class TotalBy(StrEnum):
    """What accounts have in common that are added up."""

    CODE = "code"
    OWNER = "owner"


class Total(Struct, frozen=True, kw_only=True):
    """What stands on all accounts of one code, or of one owner, in one asset.

    By code it is a line of the trial balance.
    """

    asset: str
    name: str
    """The code, or the owner."""
    accounts: int
    posted: int
    pending_in: int
    pending_out: int


class Head(Struct, frozen=True):
    """Where a book ends.

    Args:
        position: Of the last transfer; 0 in an empty book.
        hash: Of the last transfer; 32 zero bytes in an empty book.
        revision: Grows with every commit that changes accounts, so that a
            writer knows whether its memory of them still holds.
    """

    position: int
    hash: bytes
    revision: int


GENESIS = Head(position=0, hash=bytes(32), revision=0)
