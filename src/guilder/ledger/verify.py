"""The audit: from the journal alone, recompute the chain, every balance, hold and total.

It shares no code with `decide` except the encoding of the chain, so that it sees a mistake there.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from msgspec.structs import replace

from guilder.ledger.chain import chain_hash
from guilder.ledger.limits import reversal_counter_id
from guilder.storage.base import LedgerReads, LedgerStorage
from guilder.storage.records import GENESIS, Account, Hold, Leg, Transfer, TransferKind

PAGE = 2_000


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where the books are not what the journal says.

    Args:
        position: Of the transfer at fault, or of the head where it is about a stored balance.
        what: A sentence for the operator.
    """

    position: int
    what: str


@dataclass(slots=True)
class Report:
    """What was verified. `difference` is None if everything is as it should be.

    Args:
        position: Last position that was read.
        totals: By asset, the minor units that stand on accounts above zero. What
            stands below zero is as much, or there is a difference.
        checkpoints: How many signed ones agree; None if they were not compared.
        audited: How many sealed events of the audit record are right; None if it was not read.
    """

    position: int = 0
    hash: bytes = GENESIS.hash
    accounts: int = 0
    transfers: int = 0
    holds_open: int = 0
    totals: dict[str, int] = field(default_factory=dict)
    difference: Difference | None = None
    checkpoints: int | None = None
    audited: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the books are right."""
        return self.difference is None


@dataclass(slots=True)
class _Balance:
    asset: str
    sequence: int = 0
    posted: int = 0
    pending_in: int = 0
    pending_out: int = 0

    def leg(self) -> Leg:
        return Leg(self.sequence, self.posted, self.pending_in, self.pending_out)


@dataclass(slots=True)
class Books:
    """The books as the journal tells them."""

    balances: dict[UUID, _Balance] = field(default_factory=dict)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    counters: dict[UUID, int] = field(default_factory=dict)
    report: Report = field(default_factory=Report)


AccountFault = Callable[[Account], str | None]
"""Returns what is wrong with an account's owner, code or overdraft, as far as its id tells."""


def _no_fault(account: Account) -> None:  # noqa: ARG001 - an `AccountFault`
    return None


async def verify(book: LedgerStorage, *, account_fault: AccountFault = _no_fault) -> Report:
    """Verify a book as it is at one moment, also while it grows.

    Args:
        account_fault: The journal does not tell whose an account is. Its id does, to whoever knows
            how ids are derived.

    Returns:
        The report, with the first difference if there is one.

    Raises:
        StorageUnavailable: The database is away.
    """
    books = Books()
    async with book.snapshot() as moment:
        books.report.difference = (
            await _read_journal(moment, books)
            or await _compare_head(moment, books.report)
            or await _compare_accounts(moment, books, account_fault)
            or await _compare_holds(moment, books)
            or await _compare_counters(moment, books)
            or _compare_totals(books)
        )
    books.report.holds_open = sum(1 for hold in books.holds.values() if hold.remaining_minor)
    return books.report


async def _read_journal(moment: LedgerReads, books: Books) -> Difference | None:
    while page := await moment.transfers_after(books.report.position, PAGE):
        reversed_ids = [t.reverses_id for t in page if t.reverses_id is not None]
        originals = await moment.transfers(reversed_ids) if reversed_ids else {}
        for transfer in page:
            difference = follow(books, transfer, originals)
            if difference is not None:
                return difference
    return None


def follow(
    books: Books, transfer: Transfer, originals: Mapping[UUID, Transfer]
) -> Difference | None:
    """Take the next transfer into the books, unless it is not right.

    Args:
        originals: By id, those that the transfer may reverse.
    """
    report = books.report
    expected = report.position + 1
    if transfer.position != expected:
        return Difference(expected, f"the next transfer has position {transfer.position}")
    if chain_hash(report.hash, transfer) != transfer.hash:
        return Difference(expected, "the hash does not follow from the transfer and the one before")
    what = _apply(books, transfer) or _apply_counters(books, transfer, originals)
    if what is not None:
        return Difference(expected, what)
    report.position, report.hash = expected, transfer.hash
    report.transfers += 1
    return None


def _apply(books: Books, transfer: Transfer) -> str | None:
    """Move the balances; return what is wrong, if anything."""
    debit = books.balances.setdefault(transfer.debit_account_id, _Balance(transfer.asset))
    credit = books.balances.setdefault(transfer.credit_account_id, _Balance(transfer.asset))
    if (debit.asset, credit.asset) != (transfer.asset, transfer.asset):
        return "an account of the transfer is kept in another asset"
    what = _apply_amounts(books, transfer, debit, credit)
    if what is not None:
        return what
    debit.sequence += 1
    credit.sequence += 1
    if debit.leg() != transfer.debit:
        return f"the debit account should be at {debit.leg()}, the journal has {transfer.debit}"
    if credit.leg() != transfer.credit:
        return f"the credit account should be at {credit.leg()}, the journal has {transfer.credit}"
    if min(debit.pending_in, debit.pending_out, credit.pending_in, credit.pending_out) < 0:
        return "more is captured or released than was held"
    return None


def _apply_amounts(
    books: Books, transfer: Transfer, debit: _Balance, credit: _Balance
) -> str | None:
    amount = transfer.amount_minor
    match transfer.kind:
        case TransferKind.POST:
            moved, reserved = amount, 0
        case TransferKind.HOLD:
            moved, reserved = 0, amount
            books.holds[transfer.id] = _hold(transfer)
        case _:
            hold = books.holds.get(transfer.hold_id or transfer.id)
            if hold is None or _accounts(hold) != _accounts(transfer):
                return "a hold is captured or released that its accounts do not have"
            rest = hold.remaining_minor
            is_release = transfer.kind is TransferKind.RELEASE
            if not 0 < amount <= rest or (is_release and amount != rest):
                return f"{amount} is captured or released where {rest} is held"
            moved = 0 if is_release else amount
            keeps = transfer.kind is TransferKind.PARTIAL_CAPTURE
            reserved = -amount if keeps else -rest
            books.holds[hold.id] = replace(hold, remaining_minor=rest + reserved)
    debit.posted -= moved
    credit.posted += moved
    debit.pending_out += reserved
    credit.pending_in += reserved
    return None


def _hold(transfer: Transfer) -> Hold:
    """Return the hold that a transfer begins."""
    return Hold(
        id=transfer.id,
        debit_account_id=transfer.debit_account_id,
        credit_account_id=transfer.credit_account_id,
        asset=transfer.asset,
        amount_minor=transfer.amount_minor,
        remaining_minor=transfer.amount_minor,
        expires_at=transfer.expires_at,
    )


def _accounts(record: Hold | Transfer) -> tuple[UUID, UUID]:
    return record.debit_account_id, record.credit_account_id


def _apply_counters(
    books: Books, transfer: Transfer, originals: Mapping[UUID, Transfer]
) -> str | None:
    """Count what the transfer counted; return what is wrong with a reversal, if anything."""
    for each in transfer.counted:
        books.counters[each.counter_id] = books.counters.get(each.counter_id, 0) + each.added
    if transfer.reverses_id is None:
        return None
    original = originals.get(transfer.reverses_id)
    if original is None or original.position >= transfer.position:
        return f"it reverses {transfer.reverses_id}, which is not in the journal before it"
    reversed_minor = books.counters.get(reversal_counter_id(original.id), 0)
    if not transfer.amount_minor <= reversed_minor <= original.amount_minor:
        return f"{reversed_minor} of the {original.amount_minor} of {original.id} are reversed"
    return None


async def _compare_head(moment: LedgerReads, report: Report) -> Difference | None:
    head = await moment.head()
    if head.position != report.position:
        return Difference(
            min(head.position, report.position) + 1,
            f"the journal ends at {report.position}, the head is at {head.position}",
        )
    if head.hash != report.hash:
        return Difference(report.position, "the head has another hash than the last transfer")
    return None


async def _compare_accounts(
    moment: LedgerReads, books: Books, account_fault: AccountFault
) -> Difference | None:
    last: UUID | None = None
    unseen = set(books.balances)
    while page := await moment.accounts_after(last, PAGE):
        last = page[-1].id
        for account in page:
            unseen.discard(account.id)
            told = books.balances.get(account.id)
            what = _account_difference(account, told) or account_fault(account)
            if what is not None:
                return Difference(books.report.position, what)
        books.report.accounts += len(page)
    if unseen:
        return Difference(books.report.position, f"account {min(unseen)} is gone")
    return None


def _account_difference(account: Account, told: _Balance | None) -> str | None:
    told = told or _Balance(account.asset)
    stored = Leg(account.sequence, account.posted, account.pending_in, account.pending_out)
    if stored != told.leg():
        return f"account {account.id} is stored at {stored}, the journal has {told.leg()}"
    if account.asset != told.asset:
        return f"account {account.id} is kept in {account.asset}, the journal has {told.asset}"
    if account.no_overdraft and account.available < 0:
        return f"account {account.id} is overdrawn by {-account.available}"
    return None


async def _compare_holds(moment: LedgerReads, books: Books) -> Difference | None:
    last: UUID | None = None
    stored: dict[UUID, Hold] = {}
    while page := await moment.holds_after(last, PAGE):
        last = page[-1].id
        stored |= {hold.id: hold for hold in page}
    for hold_id in sorted(stored.keys() | books.holds.keys()):
        kept, told = stored.get(hold_id), books.holds.get(hold_id)
        if kept != told:
            return Difference(
                books.report.position, f"hold {hold_id} is stored as {kept}, the journal has {told}"
            )
    return None


async def _compare_counters(moment: LedgerReads, books: Books) -> Difference | None:
    last: UUID | None = None
    stored: dict[UUID, int] = {}
    while page := await moment.counters_after(last, PAGE):
        last = page[-1].id
        stored |= {counter.id: counter.used for counter in page}
    for counter_id in sorted(stored.keys() | books.counters.keys()):
        kept, told = stored.get(counter_id, 0), books.counters.get(counter_id, 0)
        if kept != told:
            return Difference(
                books.report.position, f"counter {counter_id} is at {kept}, the journal has {told}"
            )
    return None


def _compare_totals(books: Books) -> Difference | None:
    totals: defaultdict[str, int] = defaultdict(int)
    positive: defaultdict[str, int] = defaultdict(int)
    for balance in books.balances.values():
        totals[balance.asset] += balance.posted
        positive[balance.asset] += max(balance.posted, 0)
    books.report.totals = dict(sorted(positive.items()))
    for asset, total in totals.items():
        if total != 0:
            return Difference(
                books.report.position, f"the balances in {asset} add up to {total}, not to 0"
            )
    return None
