"""The journal writer: one task that commits whatever has arrived, batch after batch.

Requests that arrive while a batch is committing form the next batch, so a lone request commits at
once and a crowd commits together. Nobody hears a verdict before COMMIT has returned.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from guilder.kernel.errors import Unavailable, check
from guilder.ledger.decide import decide
from guilder.ledger.errors import AccountClosed, AccountNotEmpty, AccountNotFound, Overloaded
from guilder.ledger.limits import reversal_counter_id
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.storage.base import LedgerBatch, LedgerStorage
from guilder.storage.errors import StorageUnavailable
from guilder.storage.records import Account, Counter, Head, Hold, Transfer

BATCH_MAX = 8192
"""Transfers in one database transaction. Beyond it a batch takes longer without getting cheaper."""
WAITING_MAX = 4 * BATCH_MAX
"""Transfers that may wait: more than a second of work, and the client is told to come back."""
RETRY_FOR_S = 10
"""A restart of the database takes less; a caller waits no longer for a definite answer."""
RETRY_PAUSE_S = 0.05
SLICE = 1024
"""Transfers decided at a time. Measured: the database is kept busy, and no part is so small that
cutting costs."""
ACCOUNTS_REMEMBERED = 200_000
"""About 60 MB of account states."""


class _Submission(Struct, eq=False):
    """Requests that stay together, and who waits for their outcomes."""

    requests: Sequence[TransferRequest]
    answer: "asyncio.Future[list[Outcome]]"


class Journal:
    """The one way to write into a book.

    Invariants:
        Each request is decided exactly once; its id makes that true across
        retries, processes and crashes. A submission is never split over batches.
    """

    def __init__(
        self, book: LedgerStorage, *, batch_max: int = BATCH_MAX, waiting_max: int = WAITING_MAX
    ) -> None:
        self.book = book
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._waiting: deque[_Submission] = deque()
        self._waiting_transfers = 0
        self._arrived = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._stopping = False
        self._accounts: dict[UUID, Account] = {}
        self._head: Head | None = None
        self.batches = 0
        self.transfers = 0

    @property
    def is_running(self) -> bool:
        """Whether the writer takes requests."""
        return self._writer is not None and not self._writer.done() and not self._stopping

    @property
    def waiting(self) -> int:
        """How many transfers wait for the next batch."""
        return self._waiting_transfers

    async def start(self) -> None:
        """Start the writer."""
        check(self._writer is None, "a journal is started once")
        self._writer = asyncio.create_task(self._write(), name="journal-writer")

    async def stop(self) -> None:
        """Commit what waits, then stop."""
        self._stopping = True
        self._arrived.set()
        if self._writer is not None:
            await self._writer

    async def post(self, request: TransferRequest) -> Outcome:
        """Ask for one transfer. See `post_all`."""
        return (await self.post_all((request,)))[0]

    async def post_all(self, requests: Sequence[TransferRequest]) -> list[Outcome]:
        """Ask for transfers and wait until they are durable or refused.

        Args:
            requests: 1 to `batch_max`. They are decided in order, with nobody
                else's in between; those with one `group_id` stand together.

        Returns:
            One outcome for each request. A refusal is an outcome, not an exception.

        Raises:
            Overloaded: Too many wait already. Nothing was written.
            Unavailable: The database is away. The outcome is unknown: ask again with the same ids.
        """
        check(1 <= len(requests) <= self._batch_max, "a submission fits in one batch")
        if not self.is_running:
            raise Unavailable("Guilder is shutting down.", retry_after_s=1)
        if self._waiting_transfers + len(requests) > self._waiting_max:
            raise Overloaded(retry_after_s=1)
        answer: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Submission(requests, answer))
        self._waiting_transfers += len(requests)
        self._arrived.set()
        return await answer

    async def open_accounts(self, accounts: Sequence[Account]) -> None:
        """Open those of the accounts that are not open yet.

        Raises:
            StorageUnavailable: The database is away. Opening again is safe.
        """
        await self.book.open_accounts(accounts)

    async def freeze(self, account_id: UUID, *, is_frozen: bool) -> Account:
        """Stop what leaves an account, or let it leave again. Doing it twice does it once.

        Raises:
            AccountNotFound: There is no such account.
            AccountClosed: It is closed.
            StorageUnavailable: The database is away; the outcome is unknown.
        """
        return (await self.freeze_all([account_id], is_frozen=is_frozen))[0]

    async def freeze_all(self, account_ids: Sequence[UUID], *, is_frozen: bool) -> list[Account]:
        """Do as `freeze` does with all of the accounts at one moment, or with none of them."""
        return await self._set_flags(account_ids, is_frozen=is_frozen, is_closed=False)

    async def close(self, account_id: UUID) -> Account:
        """Close an account for good. Doing it twice does it once.

        Raises:
            AccountNotFound: There is no such account.
            AccountNotEmpty: Something stands on it or is held.
            StorageUnavailable: The database is away; the outcome is unknown.
        """
        return (await self.close_all([account_id]))[0]

    async def close_all(self, account_ids: Sequence[UUID]) -> list[Account]:
        """Do as `close` does with all of the accounts at one moment, or with none of them."""
        return await self._set_flags(account_ids, is_frozen=None, is_closed=True)

    async def _set_flags(
        self, account_ids: Sequence[UUID], *, is_frozen: bool | None, is_closed: bool
    ) -> list[Account]:
        """Write the flags behind the head, so that every writer's memory of the accounts ends."""
        async with self.book.batch() as batch:
            found = await batch.load_accounts(account_ids)
            if not found.keys() >= set(account_ids):
                raise AccountNotFound
            flagged = [
                _flagged(found[account_id], is_frozen=is_frozen, is_closed=is_closed)
                for account_id in account_ids
            ]
            changed = [each for each in flagged if each != found[each.id]]
            if changed:
                head = batch.head
                await batch.set_flags(changed, Head(head.position, head.hash, head.revision + 1))
        return flagged

    async def _write(self) -> None:
        while not (self._stopping and not self._waiting):
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            await self._answer(self._take())

    def _take(self) -> list[_Submission]:
        batch = [self._waiting.popleft()]
        size = len(batch[0].requests)
        while self._waiting and size + len(self._waiting[0].requests) <= self._batch_max:
            # One group asked for twice at a time must not become one group.
            group_id = self._waiting[0].requests[0].group_id
            if group_id is not None and group_id == batch[-1].requests[-1].group_id:
                break
            batch.append(self._waiting.popleft())
            size += len(batch[-1].requests)
        self._waiting_transfers -= size
        return batch

    async def _answer(self, batch: list[_Submission]) -> None:
        """Commit a batch and tell everybody. A fault of ours is narrowed down to its cause."""
        try:
            outcomes = await self._commit([r for item in batch for r in item.requests])
        except Unavailable as error:
            for item in batch:
                _fail(item, error)
        except Exception as error:  # noqa: BLE001 - a poisonous request must not take others along
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            middle = len(batch) // 2
            await self._answer(batch[:middle])
            await self._answer(batch[middle:])
        else:
            start = 0
            for item in batch:
                end = start + len(item.requests)
                if not item.answer.done():
                    item.answer.set_result(outcomes[start:end])
                start = end

    async def _commit(self, requests: Sequence[TransferRequest]) -> list[Outcome]:
        """Commit a batch; while the database is away, again and again for `RETRY_FOR_S`."""
        deadline = time.monotonic() + RETRY_FOR_S
        attempted: set[bytes] = set()
        while True:
            outcomes: list[Outcome] = []
            try:
                await self._attempt(requests, outcomes)
            except StorageUnavailable:
                self._forget()
                attempted.update(_created(outcomes))
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(RETRY_PAUSE_S)
            except BaseException:
                self._forget()
                raise
            else:
                self.batches += 1
                return _first_answers(outcomes, attempted)

    async def _attempt(self, requests: Sequence[TransferRequest], outcomes: list[Outcome]) -> None:
        """Decide and write in one database transaction; leave the outcomes in `outcomes`.

        They are left there, not returned, because they are needed most when COMMIT raises.
        """
        async with self.book.batch() as batch:
            work = await self._load(batch, requests)
            await batch.append(work.decide_all(requests, outcomes))
            if work.head != batch.head:
                await batch.advance(
                    work.changed(),
                    list(work.changed_holds.values()),
                    list(work.changed_counters.values()),
                    work.head,
                )
        self._head = work.head
        self.transfers += work.head.position - batch.head.position

    async def _load(self, batch: LedgerBatch, requests: Sequence[TransferRequest]) -> "_Work":
        """Read what the requests are about. Accounts are remembered while the head is ours."""
        if self._head != batch.head or len(self._accounts) > ACCOUNTS_REMEMBERED:
            self._forget()
        wanted = [request.id for request in requests]
        wanted += [r.reverses_id for r in requests if r.reverses_id is not None]
        existing = await batch.find_transfers(wanted)
        missing = {
            account_id
            for request in requests
            for account_id in (request.debit_account_id, request.credit_account_id)
            if account_id not in self._accounts
        }
        if missing:
            self._accounts.update(await batch.load_accounts(missing))
        hold_ids = [request.hold_id for request in requests if request.hold_id is not None]
        holds = await batch.load_holds(hold_ids) if hold_ids else {}
        counter_ids = _counter_ids(requests, batch.now)
        counters = await batch.load_counters(counter_ids) if counter_ids else {}
        return _Work(batch, self._accounts, holds, counters, existing)

    def _forget(self) -> None:
        self._accounts = {}
        self._head = None


class _Work:
    """The state of the books in the middle of a batch."""

    def __init__(
        self,
        batch: LedgerBatch,
        accounts: dict[UUID, Account],
        holds: dict[UUID, Hold],
        counters: dict[UUID, Counter],
        existing: dict[UUID, Transfer],
    ) -> None:
        self._now = batch.now
        self._accounts = accounts
        self._changed: set[UUID] = set()
        self._holds = holds
        self._counters = counters
        self._existing = existing
        self.changed_holds: dict[UUID, Hold] = {}
        self.changed_counters: dict[UUID, Counter] = {}
        self.head = batch.head

    def changed(self) -> Iterator[Account]:
        """Return the accounts that changed, as they are now."""
        return map(self._accounts.__getitem__, self._changed)

    def decide_all(
        self, requests: Sequence[TransferRequest], outcomes: list[Outcome]
    ) -> Iterator[Transfer]:
        """Decide slice by slice: the database writes the first while the next is decided."""
        for part in _slices(requests):
            decision = decide(
                part,
                accounts=self._accounts,
                holds=self._holds,
                counters=self._counters,
                existing=self._existing,
                head=self.head,
                now=self._now,
            )
            self._accounts.update(decision.accounts)
            self._changed.update(decision.accounts)
            self._holds.update(decision.holds)
            self.changed_holds.update(decision.holds)
            self._counters.update(decision.counters)
            self.changed_counters.update(decision.counters)
            self._existing.update(decision.created)
            self.head = decision.head
            outcomes += decision.outcomes
            yield from decision.transfers


def _flagged(account: Account, *, is_frozen: bool | None, is_closed: bool) -> Account:
    """Return an account with flags; None leaves what is. See `Journal.freeze` and `close`."""
    if account.is_closed and not is_closed:
        raise AccountClosed
    if is_closed and (account.posted or account.pending_in or account.pending_out):
        raise AccountNotEmpty
    return msgspec.structs.replace(
        account,
        is_frozen=account.is_frozen if is_frozen is None else is_frozen,
        is_closed=is_closed,
    )


def _counter_ids(requests: Sequence[TransferRequest], now: datetime) -> list[UUID]:
    """Return the counters that the requests add to."""
    limits = {
        limit.counter_id(request.asset, now) for request in requests for limit in request.limits
    }
    reversals = {reversal_counter_id(r.reverses_id) for r in requests if r.reverses_id}
    return list(limits | reversals)


def _slices(requests: Sequence[TransferRequest]) -> Iterator[Sequence[TransferRequest]]:
    """Cut requests into parts of about `SLICE`, never inside a group."""
    start = 0
    while start < len(requests):
        end = start + SLICE
        while end < len(requests) and requests[end].group_id is not None:
            end += 1
        yield requests[start:end]
        start = end


def _created(outcomes: list[Outcome]) -> Iterator[bytes]:
    """Return the hashes of what was created: only this very attempt has written them."""
    for outcome in outcomes:
        if outcome.verdict is Verdict.CREATED and outcome.transfer is not None:
            yield outcome.transfer.hash


def _fail(submission: _Submission, error: Exception) -> None:
    if not submission.answer.done():
        submission.answer.set_exception(error)


def _first_answers(outcomes: list[Outcome], attempted: set[bytes]) -> list[Outcome]:
    """Call created what a broken attempt created: its COMMIT took effect, its answer was lost."""
    if not attempted:
        return outcomes
    answers: list[Outcome] = []
    for outcome in outcomes:
        found = outcome.transfer
        if outcome.verdict is Verdict.EXISTS and found is not None and found.hash in attempted:
            attempted.discard(found.hash)
            answers.append(Outcome(Verdict.CREATED, found))
        else:
            answers.append(outcome)
    return answers
