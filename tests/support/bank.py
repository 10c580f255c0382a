"""A bank under kill -9: processes that move money, a database that dies under them, and a
comparison of what was acknowledged with what the books say."""

import asyncio
import contextlib
import itertools
import json
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from guilder.ledger.journal import Journal
from guilder.ledger.models import TransferRequest, Verdict
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from guilder.storage.base import Storage
from tests.support.bank_servers import GONE, SERVERS, BankServer
from tests.support.bank_worker import (
    ACCOUNTS,
    ANSWER,
    Answer,
    bank_account_id,
    bank_accounts,
    transfer,
    transfer_id,
)
from tests.support.databases import reachable_directory

WORKERS = 2
FUNDS = 5_000
"""Minor units that each account begins with: little enough that some transfers are refused."""
PATIENCE_S = 60.0
"""For what takes a second on a quiet machine."""
_POLL_S = 0.005


class WorkerProcess:
    """One process of `bank_worker`, started again as often as it is killed.

    Args:
        number: 0 to `WORKERS` - 1; its transfers are number, number + `WORKERS`, ...
    """

    def __init__(self, number: int, *, directory: Path, url: str, fault: str | None) -> None:
        self.answers = directory / f"answers-{number}"
        self.errors = directory / f"errors-{number}"
        self.answers.touch()
        self._number = number
        self._url = url
        self._fault = fault
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start; what was begun and not answered is asked for again."""
        answered = {number for number, _ in self.read()}
        first = max(answered, default=self._number - WORKERS) + WORKERS
        order = {
            "url": self._url,
            "answers": str(self.answers),
            "fault": self._fault,
            "again": [n for n in range(self._number, first, WORKERS) if n not in answered],
            "first": first,
            "step": WORKERS,
        }
        with self.errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.bank_worker", json.dumps(order)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=Path(__file__).parents[2],
            )

    def kill(self) -> None:
        """End it without a chance to do anything more."""
        if self._process is not None:
            self._process.kill()
            self._close()

    def finish(self) -> None:
        """Let it end what it has begun."""
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        code = self._process.wait(PATIENCE_S)
        assert code == 0, self.errors.read_text()

    def read(self) -> list[tuple[int, Answer]]:
        """Return what it has put down, in order. The last may be half written."""
        data = self.answers.read_bytes()
        whole = len(data) // ANSWER.size * ANSWER.size
        return [(number, Answer(kind)) for number, kind in ANSWER.iter_unpack(data[:whole])]

    def count(self) -> int:
        return self.answers.stat().st_size // ANSWER.size

    def _close(self) -> None:
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):
                if self._process.stdin is not None:
                    self._process.stdin.close()
            self._process.wait()
            self._process = None


@dataclass
class Audit:
    """What the books say, held against what was answered."""

    acknowledged: int = 0
    refused: int = 0
    asked_again: int = 0
    reads: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    recovery_s: list[float] = field(default_factory=list)
    faults: dict[str, object] = field(default_factory=dict)
    """By name; empty if the books are right."""

    def note(self, name: str, found: object) -> None:
        """Record a fault if something was found."""
        if found:
            self.faults[name] = found

    def __str__(self) -> str:
        worst = max(self.recovery_s, default=0.0)
        return (
            f"{sum(self.kills.values())} kills {dict(self.kills)}, "
            f"{self.acknowledged} acknowledged, {self.refused} refused, "
            f"{self.asked_again} asked again, {self.reads} reads of the total, "
            f"slowest recovery {worst:.1f} s, faults {self.faults or 'none'}"
        )


class Bank:
    """The database and the processes of one run."""

    def __init__(self, server: BankServer, workers: list[WorkerProcess]) -> None:
        self.server = server
        self.workers = workers
        self.audit = Audit()
        self.is_stopping = False
        self._wrong_reads: list[tuple[int, int]] = []
        self._chance = random.Random(1)
        self.killers: Mapping[str, Callable[[], Awaitable[None]]] = {
            "worker": self._kill_worker,
            "database": self._kill_database,
            "everything": self._kill_everything,
            "connections": self._cut_connections,
        }

    def answered(self) -> int:
        """Return how many answers were put down."""
        return sum(worker.count() for worker in self.workers)

    async def wait_for_answers(self, more: int) -> None:
        """Wait until so many more were put down."""
        wanted = self.answered() + more
        async with asyncio.timeout(PATIENCE_S):
            while self.answered() < wanted:  # noqa: ASYNC110 - another process writes the file
                await asyncio.sleep(_POLL_S)

    async def kill(self, what: str) -> None:
        """Kill under load and wait until money moves again."""
        await self.wait_for_answers(self._chance.randint(50, 800))
        await self.killers[what]()
        began = time.monotonic()
        self.audit.kills[what] += 1
        # What was in a pipe or a batch does not count as recovery.
        await self.wait_for_answers(CROWD_ANSWERS)
        self.audit.recovery_s.append(time.monotonic() - began)

    async def _kill_worker(self) -> None:
        worker = self._chance.choice(self.workers)
        worker.kill()
        worker.start()

    async def _kill_database(self) -> None:
        await self.server.kill()

    async def _kill_everything(self) -> None:
        await self.server.kill()
        for worker in self.workers:
            worker.kill()
            worker.start()

    async def _cut_connections(self) -> None:
        await self.server.cut_connections()

    async def read_totals(self) -> None:
        """Read all balances over and over; whatever is killed, they add up.

        It is told to end and not cancelled: a driver may lose a cancellation.
        """
        ids = [bank_account_id(number) for number in range(1, ACCOUNTS + 1)]
        while not self.is_stopping:
            with contextlib.suppress(*GONE):
                async with self.server.totals(ids) as read:
                    while not self.is_stopping:
                        total, least = await read()
                        self.audit.reads += 1
                        if total != ACCOUNTS * FUNDS or least < 0:
                            self._wrong_reads.append((total, least))
                        await asyncio.sleep(_POLL_S)
            await asyncio.sleep(_POLL_S)

    async def compare(self) -> None:
        """Hold the books against every answer."""
        answers = Counter[Answer]()
        told: defaultdict[Answer, set[UUID]] = defaultdict(set)
        numbers: set[int] = set()
        for number, answer in itertools.chain.from_iterable(w.read() for w in self.workers):
            answers[answer] += 1
            told[answer].add(transfer_id(number))
            if answer in (Answer.CREATED, Answer.EXISTS):
                numbers.add(number)
        moved = told[Answer.CREATED] | told[Answer.EXISTS]
        audit = self.audit
        audit.acknowledged, audit.refused = len(moved), len(told[Answer.REFUSED])
        audit.asked_again = answers[Answer.REPEATED] + answers[Answer.CONTRADICTED]
        audit.note("wrong reads", self._wrong_reads[:5])
        audit.note("contradicted", answers[Answer.CONTRADICTED])
        audit.note("errors", answers[Answer.ERROR])
        stored = await self.server.stored()
        journal, positions = stored.transfers, stored.positions
        audit.note("lost", len(moved - journal.keys()))
        audit.note("doubled", sum(count > 1 for count in journal.values()))
        audit.note("moved without an answer", len(journal.keys() - moved))
        audit.note("refused and moved", len(journal.keys() & told[Answer.REFUSED]))
        audit.note("gaps", None if len(set(positions)) == 1 else positions)
        audit.note("wrong total", sum(stored.posted.values()))
        self._compare_balances(numbers, stored.posted)
        storage = await open_storage(
            self.server.owner_url, accepted_settings=frozenset({"synchronous_commit"})
        )
        report = await verify(storage.ledger())
        await storage.close()
        audit.note("verify", report.difference)

    def _compare_balances(self, moved: set[int], posted: Mapping[UUID, int]) -> None:
        """Work out what every account must have, from nothing but the answers."""
        expected = Counter({bank_account_id(n): FUNDS for n in range(1, ACCOUNTS + 1)})
        for request in map(transfer, moved):
            expected[request.debit_account_id] -= request.amount_minor
            expected[request.credit_account_id] += request.amount_minor
        wrong = [account for account, amount in expected.items() if posted[account] != amount]
        self.audit.note("wrong balances", len(wrong))


CROWD_ANSWERS = 200
"""So many new answers after a kill mean that the bank works again."""


@contextlib.asynccontextmanager
async def open_bank(engine: str, fault: str | None = None) -> AsyncIterator[Bank]:
    """Run a bank, with a fault planted or none. Nothing of it is left in the end."""
    workers: list[WorkerProcess] = []
    with reachable_directory() as directory:
        async with SERVERS[engine](fault) as server:
            storage = await open_storage(server.url, owner_url=server.owner_url)
            await storage.migrate([])
            await fund(storage)
            await storage.close()
            if fault:
                await server.take_away_what_hinders(fault)
            workers += [
                WorkerProcess(number, directory=directory, url=server.url, fault=fault)
                for number in range(WORKERS)
            ]
            try:
                yield Bank(server, workers)
            finally:
                for worker in workers:
                    worker.kill()


async def fund(storage: Storage) -> None:
    """Open the accounts and give each account its funds."""
    journal = Journal(storage.ledger())
    await journal.open_accounts(bank_accounts())
    await journal.start()
    outcomes = await journal.post_all(
        [
            TransferRequest(
                id=UUID(int=number),
                debit_account_id=bank_account_id(0),
                credit_account_id=bank_account_id(number),
                amount_minor=FUNDS,
                asset="USD",
                code="fund",
                fingerprint=bytes(32),
            )
            for number in range(1, ACCOUNTS + 1)
        ]
    )
    await journal.stop()
    assert {outcome.verdict for outcome in outcomes} == {Verdict.CREATED}


async def run_bank(
    engine: str, kills: list[str], *, fault: str | None = None, answers_at_least: int = 0
) -> Audit:
    """Let the bank work, kill what `kills` names one after another, and compare."""
    async with open_bank(engine, fault) as bank:
        for worker in bank.workers:
            worker.start()
        reader = asyncio.create_task(bank.read_totals())
        try:
            await bank.wait_for_answers(CROWD_ANSWERS)
            for what in kills:
                await bank.kill(what)
            while bank.answered() < answers_at_least:
                await bank.wait_for_answers(CROWD_ANSWERS)
            for worker in bank.workers:
                await asyncio.to_thread(worker.finish)
            assert not reader.done(), reader.exception()
        finally:
            bank.is_stopping = True
            await asyncio.gather(reader, return_exceptions=True)
        await bank.compare()
    return bank.audit
