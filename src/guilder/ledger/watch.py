"""The audit that never ends: follow the journal, a page at a time, and let no difference pass.

`verify` reads everything and remembers everything. This reads what is new and remembers little:
each leg must follow from the account's leg before it, and the stored balances from the newest leg.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog
from msgspec import Struct

from guilder.ledger.chain import chain_hash
from guilder.ledger.verify import Difference
from guilder.storage.base import LedgerReads, LedgerStorage, TransferFilter
from guilder.storage.records import GENESIS, Account, Leg, Transfer, TransferKind

PAGE = 200
"""Transfers at a time: hashing them keeps the requests beside it waiting for a few milliseconds."""
LEGS_REMEMBERED = 50_000
"""About 15 MB. A leg that is forgotten is read again."""
SWEPT = 20
"""Accounts that nothing happened to, compared in each pass that found nothing new."""

_ANY = TransferFilter()
_NOTHING = Leg(0, 0, 0, 0)
_log = structlog.get_logger(__name__)


class _Known(Struct, frozen=True, gc=False):
    """What the journal says of an account so far."""

    asset: str
    leg: Leg


class Watch:
    """Follows one book from a place where it was right.

    Args:
        position: Of the last transfer that is known to be right; 0 for none.
        hash_: Of that transfer.

    Attributes:
        position: Up to it the journal is as it should be.
        hash: Of the transfer there.
        head_position: Where the book ended when it was last looked at.
        transfers: How many were followed.
        difference: The first one found. From then on nothing more is read.

    Invariants:
        Memory is bounded, whatever the size of the book.
    """

    def __init__(
        self, book: LedgerStorage, *, position: int = 0, hash_: bytes = GENESIS.hash
    ) -> None:
        self._book = book
        self.position = position
        self.hash = hash_
        self.head_position = position
        self.transfers = 0
        self.difference: Difference | None = None
        self._known: dict[UUID, _Known] = {}
        self._swept: UUID | None = None

    @property
    def lag(self) -> int:
        """How many transfers were in the book and not looked at yet, when it last looked."""
        return max(self.head_position - self.position, 0)

    async def step(self) -> bool:
        """Follow one page; tell whether there is more.

        Raises:
            StorageUnavailable: The database is away; nothing was followed.
        """
        if self.difference is None:
            async with self._book.snapshot() as moment:
                self.difference = await self._look(moment)
        if self.difference is not None:
            # Said again in every pass: it must not scroll away.
            found = self.difference
            _log.error("the books differ", position=found.position, what=found.what)
            return False
        return self.lag > 0

    async def _look(self, moment: LedgerReads) -> Difference | None:
        head = await moment.head()
        self.head_position = head.position
        page = await moment.transfers_after(self.position, PAGE)
        difference = await self._follow(moment, page)
        if difference is not None:
            return difference
        at_end = len(page) < PAGE or self.position >= head.position
        if at_end and (head.position, head.hash) != (self.position, self.hash):
            return Difference(
                min(head.position, self.position) + 1,
                f"the journal ends at {self.position}, the head is at {head.position}",
            )
        touched = {t.debit_account_id for t in page} | {t.credit_account_id for t in page}
        difference = await self._compare(moment, touched, at_end=at_end)
        self._forget()
        return difference if difference is not None or page else await self._sweep(moment)

    async def _follow(self, moment: LedgerReads, page: Sequence[Transfer]) -> Difference | None:
        for transfer in page:
            expected = self.position + 1
            if transfer.position != expected:
                return Difference(expected, f"the next transfer has position {transfer.position}")
            if chain_hash(self.hash, transfer) != transfer.hash:
                return Difference(
                    expected, "the hash does not follow from the transfer and the one before"
                )
            what = await self._apply(moment, transfer)
            if what is not None:
                return Difference(expected, what)
            self.position, self.hash = expected, transfer.hash
            self.transfers += 1
        return None

    async def _apply(self, moment: LedgerReads, transfer: Transfer) -> str | None:
        """Let both accounts move on; return what is wrong, if anything."""
        debit = await self._before(moment, transfer.debit_account_id, transfer)
        credit = await self._before(moment, transfer.credit_account_id, transfer)
        if (debit.asset, credit.asset) != (transfer.asset, transfer.asset):
            return "an account of the transfer is kept in another asset"
        moved, reserved = _movement(transfer, debit.leg)
        expected = (
            _moved(debit.leg, posted=-moved, pending_out=reserved),
            _moved(credit.leg, posted=moved, pending_in=reserved),
        )
        if expected != (transfer.debit, transfer.credit):
            return (
                f"its legs should be {expected[0]} and {expected[1]}, "
                f"the journal has {transfer.debit} and {transfer.credit}"
            )
        if not _is_covered(transfer, reserved):
            return "more is captured or released than was held"
        self._remember(transfer.debit_account_id, _Known(transfer.asset, transfer.debit))
        self._remember(transfer.credit_account_id, _Known(transfer.asset, transfer.credit))
        return None

    async def _before(self, moment: LedgerReads, account_id: UUID, transfer: Transfer) -> _Known:
        """Return what the journal says of an account before a transfer."""
        known = self._known.get(account_id)
        if known is not None:
            return known
        newest = await _newest(moment, account_id, before_position=transfer.position)
        return newest or _Known(transfer.asset, _NOTHING)

    async def _compare(
        self, moment: LedgerReads, touched: set[UUID], *, at_end: bool
    ) -> Difference | None:
        """Compare stored balances. An account that has moved on comes again in a later page."""
        stored = await moment.accounts(list(touched)) if touched else {}
        for account_id in touched:
            account, known = stored.get(account_id), self._known[account_id]
            if account is None:
                return Difference(self.position, f"account {account_id} is gone")
            if account.sequence <= known.leg.sequence or at_end:
                what = _account_difference(account, known)
                if what is not None:
                    return Difference(self.position, what)
        return None

    async def _sweep(self, moment: LedgerReads) -> Difference | None:
        """Compare the next few accounts with their newest legs, and begin anew after the last."""
        page = await moment.accounts_after(self._swept, SWEPT)
        self._swept = page[-1].id if len(page) == SWEPT else None
        for account in page:
            newest = await _newest(moment, account.id, before_position=None)
            what = _account_difference(account, newest or _Known(account.asset, _NOTHING))
            if what is not None:
                return Difference(self.position, what)
        return None

    def _remember(self, account_id: UUID, known: _Known) -> None:
        """Put it last: the first are forgotten first."""
        self._known.pop(account_id, None)
        self._known[account_id] = known

    def _forget(self) -> None:
        while len(self._known) > LEGS_REMEMBERED:
            del self._known[next(iter(self._known))]


async def _newest(
    moment: LedgerReads, account_id: UUID, *, before_position: int | None
) -> _Known | None:
    """Return what the journal says of an account before a position, or at its end."""
    found = await moment.account_transfers(
        [account_id], _ANY, before_position=before_position, limit=1
    )
    if not found:
        return None
    last = found[0]
    return _Known(last.asset, last.debit if last.debit_account_id == account_id else last.credit)


def _movement(transfer: Transfer, debit: Leg) -> tuple[int, int]:
    """Return by how much `posted` and what is reserved should change."""
    amount = transfer.amount_minor
    match transfer.kind:
        case TransferKind.POST:
            return amount, 0
        case TransferKind.HOLD:
            return 0, amount
        case TransferKind.PARTIAL_CAPTURE:
            return amount, -amount
        case TransferKind.RELEASE:
            return 0, -amount
        case TransferKind.CAPTURE:
            # What it releases beyond the amount is the hold's affair; both sides must agree on it.
            return amount, transfer.debit.pending_out - debit.pending_out


def _is_covered(transfer: Transfer, reserved: int) -> bool:
    """Tell whether nothing is reserved below zero, and a capture releases what it moves."""
    captures = transfer.kind is TransferKind.CAPTURE
    return (
        min(transfer.debit.pending_out, transfer.credit.pending_in) >= 0
        and transfer.amount_minor > 0
        and (not captures or reserved <= -transfer.amount_minor)
    )


def _moved(leg: Leg, *, posted: int, pending_in: int = 0, pending_out: int = 0) -> Leg:
    return Leg(
        leg.sequence + 1,
        leg.posted + posted,
        leg.pending_in + pending_in,
        leg.pending_out + pending_out,
    )


def _account_difference(account: Account, told: _Known) -> str | None:
    stored = Leg(account.sequence, account.posted, account.pending_in, account.pending_out)
    if stored != told.leg:
        return f"account {account.id} is stored at {stored}, the journal has {told.leg}"
    if account.asset != told.asset:
        return f"account {account.id} is kept in {account.asset}, the journal has {told.asset}"
    if account.no_overdraft and account.available < 0:
        return f"account {account.id} is overdrawn by {-account.available}"
    return None
