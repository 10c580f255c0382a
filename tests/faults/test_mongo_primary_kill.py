"""Three MongoDB servers, of which the primary is killed in the middle of batches, and again.

`GUILDER_TEST_PRIMARY_KILLS` says how often. Before each kill both secondaries stand still for a
moment, or are dead already, so that whatever the primary acknowledges alone is lost with it.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from pymongo import WriteConcern
from pymongo.client_session_shared import TransactionOptions

from guilder.kernel.errors import Unavailable
from guilder.ledger.journal import Journal
from guilder.ledger.models import TransferRequest, Verdict
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from guilder.storage.mongo import engine as engine_module
from tests.support.books import account, account_id, request
from tests.support.mongo import (
    Mongod,
    ReplicaSet,
    direct,
    eventually,
    replica_set,
)

KILLS = int(os.environ.get("GUILDER_TEST_PRIMARY_KILLS", "3"))
CALLERS = 8
TOGETHER = 8
PATIENCE_S = 60.0
STANDSTILL_S = 0.3
_FAST = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}


@pytest.fixture(scope="module")
async def three() -> AsyncIterator[ReplicaSet]:
    """Three servers that elect a primary within seconds."""
    async with replica_set(3, settings=_FAST) as made:
        yield made


@dataclass
class Crowd:
    """Callers that pay each other and remember every answer."""

    journal: Journal
    created: set[UUID] = field(default_factory=set)
    refused: set[UUID] = field(default_factory=set)
    retries: int = 0
    is_stopping: bool = False

    async def call(self, number: int) -> None:
        """Pay back and forth, a few transfers at a time; ask again until there is an answer."""
        debit, credit = f"payer{number}", f"payee{number}"
        while not self.is_stopping:
            await self._ask([request(debit, credit, 1) for _ in range(TOGETHER)])
            debit, credit = credit, debit

    async def _ask(self, asked: list[TransferRequest]) -> None:
        while True:
            try:
                outcomes = await self.journal.post_all(asked)
            except Unavailable:
                self.retries += 1
                await asyncio.sleep(0.02)
                continue
            for each, outcome in zip(asked, outcomes, strict=True):
                known = outcome.verdict in (Verdict.CREATED, Verdict.EXISTS)
                (self.created if known else self.refused).add(each.id)
            return


async def kill_all_one_by_one(made: ReplicaSet, crowd: "Crowd") -> Mongod:
    """Kill the secondaries, let the primary acknowledge alone, kill it, start the others."""
    primary = await made.primary()
    others = [member for member in made.members if member is not primary]
    for member in others:
        member.kill()
    with contextlib.suppress(TimeoutError):
        await _wait_for_more(crowd, 4 * CALLERS * TOGETHER, patience_s=1.0)
    primary.kill()
    for member in others:
        member.start()
    return primary


async def kill_the_primary(made: ReplicaSet, _crowd: "Crowd") -> Mongod:
    """Stop the secondaries for a moment, kill the primary, and let them go on."""
    primary = await made.primary()
    others = [member for member in made.members if member is not primary]
    for member in others:
        member.hang()
    try:
        await asyncio.sleep(STANDSTILL_S)
        primary.kill()
    finally:
        for member in others:
            member.go_on()
    return primary


async def run(made: ReplicaSet, name: str, kills: int) -> tuple[Counter[str], list[float]]:
    """Kill the primary under load; return what the books lack or have too much of."""
    database = made.url.replace("/?", f"/{name}?")
    storage = await open_storage(database)
    await storage.migrate([])
    journal = Journal(storage.ledger())
    await journal.start()
    crowd = Crowd(journal)
    names = [f"{side}{number}" for side in ("payer", "payee") for number in range(CALLERS)]
    await journal.open_accounts([account("mint"), *map(account, names)])
    await journal.post_all([request("mint", name, 500) for name in names])
    callers = [asyncio.create_task(crowd.call(number)) for number in range(CALLERS)]
    recovery_s = []
    try:
        for number in range(kills):
            await _wait_for_more(crowd, 200)
            kill = kill_all_one_by_one if number == 0 else kill_the_primary
            killed = await kill(made, crowd)
            began = time.monotonic()
            await _wait_for_more(crowd, CALLERS * TOGETHER + 1)
            recovery_s.append(time.monotonic() - began)
            killed.start()
            await _is_back(killed)
        crowd.is_stopping = True
        await asyncio.gather(*callers)
        faults = await _compare(journal, crowd)
    finally:
        crowd.is_stopping = True
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        await journal.stop()
        await storage.close()
    faults["retries"] = crowd.retries
    faults["acknowledged"] = len(crowd.created)
    return faults, recovery_s


async def _wait_for_more(crowd: Crowd, more: int, *, patience_s: float = PATIENCE_S) -> None:
    wanted = len(crowd.created) + more
    async with asyncio.timeout(patience_s):
        while len(crowd.created) < wanted:  # noqa: ASYNC110 - the crowd has no event for it
            await asyncio.sleep(0.005)


async def _is_back(member: Mongod) -> None:
    """Wait until a member that was killed has caught up."""
    async with direct(member) as client, asyncio.timeout(PATIENCE_S):
        while True:
            hello = await eventually(lambda: client.admin.command("hello"))
            if hello.get("secondary") or hello.get("isWritablePrimary"):
                return
            await asyncio.sleep(0.05)


async def _compare(journal: Journal, crowd: Crowd) -> Counter[str]:
    """Hold the journal against every answer."""
    stored: Counter[UUID] = Counter()
    position = 0
    while page := await journal.book.transfers_after(position, 2_000):
        stored.update(each.id for each in page if each.debit_account_id != account_id("mint"))
        position = page[-1].position
    report = await verify(journal.book)
    total = sum(each.posted for each in await journal.book.accounts_after(None, 100))
    return Counter(
        {
            "lost": len(crowd.created - stored.keys()),
            "doubled": sum(count > 1 for count in stored.values()),
            "unasked": len(stored.keys() - crowd.created - crowd.refused),
            "refused and moved": len(stored.keys() & crowd.refused),
            "wrong books": int(not report.ok),
            "wrong total": total,
        }
    )


async def test_nothing_acknowledged_is_lost_or_doubled(
    three: ReplicaSet, capsys: pytest.CaptureFixture[str]
) -> None:
    faults, recovery_s = await run(three, "majority", KILLS)
    acknowledged, retries = faults.pop("acknowledged"), faults.pop("retries")
    with capsys.disabled():
        sys.stdout.write(
            f"\nmongodb: {KILLS} primaries killed, {acknowledged} acknowledged, "
            f"{retries} asked again, recovery {sorted(round(each, 1) for each in recovery_s)} s\n"
        )
    assert +faults == Counter()
    assert acknowledged > KILLS * 200
    assert sorted(recovery_s)[KILLS // 2] <= 10.0


async def test_a_primary_that_acknowledges_alone_is_found_out(
    three: ReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: a commit that only the primary has written counts as done."""
    alone = TransactionOptions(
        read_concern=engine_module.SNAPSHOT,
        write_concern=WriteConcern(1, j=True),
        max_commit_time_ms=10_000,
    )
    monkeypatch.setattr(engine_module, "_TRANSACTION", alone)
    faults, _ = await run(three, "alone", 1)
    assert faults["lost"] > 0
