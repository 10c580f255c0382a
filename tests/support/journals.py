"""Journals on a book in memory: what to ask, and how to hold a batch up."""

import asyncio
from collections.abc import Callable
from typing import Any

from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from tests.support.books import MemoryBook, request

Start = Callable[..., Any]
"""Starts a journal with options; it is stopped in the end."""


def fund(amount: int = 1, **fields: Any) -> TransferRequest:
    return request("mint", "payer", amount, **fields)


def verdicts(outcomes: list[Outcome]) -> list[Verdict]:
    return [outcome.verdict for outcome in outcomes]


async def until(condition: Callable[[], object]) -> None:
    """Let the others run until something is so."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition is the journal's own
            await asyncio.sleep(0)


async def hold_up(journal: Journal, book: MemoryBook) -> "asyncio.Task[Outcome]":
    """Hold a batch of one up, so that what comes now waits for the next."""
    book.open.clear()
    first = asyncio.create_task(journal.post(fund()))
    await until(lambda: book.held)
    return first
