"""A process that moves money between the accounts of `bank` as fast as it can, and puts down every
answer in a file before it asks for more. What it has put down it cannot take back: that file is
what the books are held against.
"""

import asyncio
import hashlib
import itertools
import json
import os
import random
import struct
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from pymongo import WriteConcern
from pymongo.client_session_shared import TransactionOptions

from guilder.kernel.errors import Unavailable
from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.storage import open_storage
from guilder.storage.errors import StorageUnavailable
from guilder.storage.mongo import engine
from guilder.storage.records import Account
from tests.support.planted import FORGETFUL_SERVER, ledger_with

ACCOUNTS = 10
ANSWER = struct.Struct("<QB")
CROWD = 6
"""Callers at once in a process."""
TOGETHER = 16
"""Transfers that a caller asks for at once."""
ASK_AGAIN = 0.2
_DAY = datetime(2026, 1, 1, tzinfo=UTC)


class Answer(IntEnum):
    """What is put down about a transfer."""

    CREATED = 1
    EXISTS = 2
    REFUSED = 3
    REPEATED = 4
    """Asked for again after an answer, and answered the same."""
    CONTRADICTED = 5
    """Asked for again after an answer, and answered otherwise."""
    ERROR = 6
    """Neither a verdict nor "not now"."""


def bank_account_id(number: int) -> UUID:
    return UUID(int=0xBA << 120 | number)


def bank_accounts() -> list[Account]:
    """Return the funding account, number 0, and the accounts that pay each other."""
    return [
        Account(
            id=bank_account_id(number),
            asset="USD",
            code="bank",
            owner=f"bank-{number}",
            no_overdraft=number > 0,
            created_at=_DAY,
        )
        for number in range(ACCOUNTS + 1)
    ]


def transfer_id(number: int) -> UUID:
    return UUID(bytes=hashlib.sha256(b"transfer %d" % number).digest()[:16])


def transfer(number: int) -> TransferRequest:
    """Return transfer `number`: the same in every process, for ever."""
    chance = random.Random(number)
    debit, credit = chance.sample(range(1, ACCOUNTS + 1), 2)
    return TransferRequest(
        id=transfer_id(number),
        debit_account_id=bank_account_id(debit),
        credit_account_id=bank_account_id(credit),
        amount_minor=chance.randint(1, 100),
        asset="USD",
        code="bank",
        fingerprint=hashlib.sha256(b"%d" % number).digest(),
    )


class Worker:
    """The callers of one process.

    Args:
        journal: Where they post.
        answers: Descriptor of the file, opened to append.
        numbers: Of the transfers to ask for, without end.
    """

    def __init__(self, journal: Journal, answers: int, numbers: Iterator[int]) -> None:
        self._journal = journal
        self._answers = answers
        self._numbers = numbers
        self._chance = random.Random()
        self.is_stopping = False

    async def call(self) -> None:
        """Ask, put down, perhaps ask again; until told to stop."""
        while not self.is_stopping:
            numbers = list(itertools.islice(self._numbers, TOGETHER))
            outcomes = await self._ask(numbers)
            self._put_down((n, _answer(o)) for n, o in zip(numbers, outcomes, strict=True))
            # A refused one is decided afresh, so only what was moved is asked for again.
            moved = {n: o for n, o in zip(numbers, outcomes, strict=True) if o.transfer is not None}
            if moved and self._chance.random() < ASK_AGAIN:
                again = await self._ask(list(moved))
                self._put_down(
                    (number, _compare(before, after))
                    for (number, before), after in zip(moved.items(), again, strict=True)
                )

    async def _ask(self, numbers: Sequence[int]) -> list[Outcome]:
        requests = [transfer(number) for number in numbers]
        while True:
            try:
                return await self._journal.post_all(requests)
            except Unavailable:
                await asyncio.sleep(0.02)
            except Exception as error:  # noqa: BLE001 - whatever it is, it must be on record
                self._put_down((number, Answer.ERROR) for number in numbers)
                sys.stderr.write(f"{error!r}\n")
                await asyncio.sleep(0.02)

    def _put_down(self, answers: Iterator[tuple[int, Answer]]) -> None:
        os.write(self._answers, b"".join(ANSWER.pack(*each) for each in answers))


def _answer(outcome: Outcome) -> Answer:
    if outcome.verdict is Verdict.CREATED:
        return Answer.CREATED
    return Answer.EXISTS if outcome.verdict is Verdict.EXISTS else Answer.REFUSED


def _compare(before: Outcome, after: Outcome) -> Answer:
    same = after.verdict is Verdict.EXISTS and after.transfer == before.transfer
    return Answer.REPEATED if same else Answer.CONTRADICTED


async def work(order: dict[str, Any]) -> None:
    """Work until the input ends."""
    answers = os.open(Path(order["answers"]), os.O_WRONLY | os.O_APPEND)
    fault = order["fault"]
    accepted = set()
    if fault == FORGETFUL_SERVER:
        accepted.add("synchronous_commit")
        engine._TRANSACTION = TransactionOptions(engine.SNAPSHOT, WriteConcern(1, j=False))
    storage = await _opened(order["url"], frozenset(accepted))
    journal = Journal(ledger_with(fault, storage))
    await journal.start()
    numbers = itertools.chain(order["again"], itertools.count(order["first"], order["step"]))
    worker = Worker(journal, answers, numbers)
    callers = [asyncio.create_task(worker.call()) for _ in range(CROWD)]
    await asyncio.to_thread(sys.stdin.read)
    worker.is_stopping = True
    await asyncio.gather(*callers)
    await journal.stop()
    await storage.close()


async def _opened(url: str, accepted: frozenset[str]) -> Any:
    """Open the database, which may be away just now."""
    while True:
        try:
            return await open_storage(url, accepted_settings=accepted)
        except StorageUnavailable:
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(work(json.loads(sys.argv[1])))
