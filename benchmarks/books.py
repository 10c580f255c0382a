"""Books to measure: accounts in them, and batches of transfers between those."""

import contextlib
import hashlib
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from benchmarks.engines import Lender
from guilder.kernel.clock import utc_now
from guilder.kernel.ids import derived_uuid
from guilder.ledger.journal import BATCH_MAX, Journal
from guilder.ledger.models import TransferRequest, Verdict
from guilder.ledger.verify import verify
from guilder.storage.base import LedgerStorage
from guilder.storage.records import Account, TransferKind

Batch = list[TransferRequest]
Make = Callable[[Sequence[UUID], int, int], list[Batch]]
"""Makes the batches of a number, of a size, between accounts. The same number, the same batches."""

_FINGERPRINT = hashlib.sha256(b"benchmark").digest()


@dataclass
class OpenBook:
    """A book with a writer and accounts."""

    ledger: LedgerStorage
    accounts: list[UUID]
    _journal: Journal

    async def post(self, batches: Sequence[Batch]) -> float:
        """Post batches one after the other; return transfers a second.

        Raises:
            RuntimeError: One was refused.
        """
        started = time.perf_counter()
        for batch in batches:
            outcomes = await self._journal.post_all(batch)
            if any(outcome.verdict is not Verdict.CREATED for outcome in outcomes):
                message = "a transfer of the benchmark was refused"
                raise RuntimeError(message)
        return sum(map(len, batches)) / (time.perf_counter() - started)

    async def verify(self) -> float:
        """Recompute everything; return transfers a second.

        Raises:
            RuntimeError: The books are not right.
        """
        started = time.perf_counter()
        report = await verify(self.ledger)
        if not report.ok:
            raise RuntimeError(str(report.difference))
        return report.transfers / (time.perf_counter() - started)


@contextlib.asynccontextmanager
async def open_book(lender: Lender, *, accounts: int) -> AsyncIterator[OpenBook]:
    """Lend a new book in a database of its own."""
    async with lender.storage() as (storage, _):
        ledger = storage.ledger()
        journal = Journal(ledger)
        await journal.start()
        try:
            yield OpenBook(ledger, await _open_accounts(journal, accounts), journal)
        finally:
            await journal.stop()


async def _open_accounts(journal: Journal, count: int) -> list[UUID]:
    now = utc_now()
    accounts = [
        Account(
            id=derived_uuid("benchmark-account", str(number)),
            asset="USD",
            code="benchmark",
            owner=owner(number),
            no_overdraft=False,
            created_at=now,
        )
        for number in range(count)
    ]
    for start in range(0, count, BATCH_MAX):
        await journal.open_accounts(accounts[start : start + BATCH_MAX])
    return [account.id for account in accounts]


def owner(number: int) -> str:
    """Return who owns the account of that number."""
    return f"benchmark-{number}"


def uniform(accounts: Sequence[UUID], number: int, size: int) -> list[Batch]:
    """Make a batch between random accounts."""
    choose = random.Random(number)
    pairs = [choose.sample(range(1, len(accounts)), 2) for _ in range(size)]
    return [_posts(number, [(accounts[debit], accounts[credit]) for debit, credit in pairs])]


def everybody(accounts: Sequence[UUID], number: int) -> list[Batch]:
    """Make a batch in which each account takes part once."""
    return [_posts(number, list(zip(accounts[::2], accounts[1::2], strict=True)))]


def hot(accounts: Sequence[UUID], number: int, size: int) -> list[Batch]:
    """Make a batch in which everybody pays the first account."""
    choose = random.Random(number)
    return [_posts(number, [(choose.choice(accounts[1:]), accounts[0]) for _ in range(size)])]


def _posts(number: int, pairs: Sequence[tuple[UUID, UUID]]) -> Batch:
    return [
        _request(f"{number}-{line}", debit, credit, amount_minor=1 + line % 10_000)
        for line, (debit, credit) in enumerate(pairs)
    ]


def _request(
    name: str,
    debit: UUID,
    credit: UUID,
    *,
    amount_minor: int,
    kind: TransferKind = TransferKind.POST,
    hold_id: UUID | None = None,
) -> TransferRequest:
    """Make a request with an id as the API derives it."""
    return TransferRequest(
        id=derived_uuid("benchmark", name),
        debit_account_id=debit,
        credit_account_id=credit,
        amount_minor=amount_minor,
        asset="USD",
        code="benchmark",
        fingerprint=_FINGERPRINT,
        kind=kind,
        hold_id=hold_id,
    )


def holds(accounts: Sequence[UUID], number: int, size: int) -> list[Batch]:
    """Make a batch of holds between random accounts, and one that captures each of them whole."""
    choose = random.Random(number)
    held, captured = [], []
    for line in range(size):
        debit, credit = choose.sample(accounts, 2)
        hold = _request(
            f"hold-{number}-{line}",
            debit,
            credit,
            amount_minor=1 + line % 10_000,
            kind=TransferKind.HOLD,
        )
        held.append(hold)
        captured.append(
            _request(
                f"capture-{number}-{line}",
                debit,
                credit,
                amount_minor=hold.amount_minor,
                kind=TransferKind.CAPTURE,
                hold_id=hold.id,
            )
        )
    return [held, captured]
