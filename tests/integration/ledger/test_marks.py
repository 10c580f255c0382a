"""A mark takes a transfer's id, moves nothing, and races fairly with the transfer."""

import asyncio
from datetime import UTC, datetime

from guilder.ledger.chart import AccountCode
from guilder.ledger.journal import Journal
from guilder.ledger.marks import Mark, place, reason_of
from guilder.ledger.models import Verdict
from tests.support.books import request, transfer_id
from tests.support.postgres_books import open_funded, posted

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def mark(name: str, reason: str = "cancelled") -> Mark:
    return Mark(transfer_id=transfer_id(name), asset="USD", subject="subject_1", reason=reason)


async def test_what_is_marked_is_never_posted(journal: Journal) -> None:
    await open_funded(journal, a=100, b=0)
    placed = await place(journal, mark("t"), now=NOW)
    assert reason_of(placed) == "cancelled"
    assert placed.metadata["subject"] == "subject_1"
    outcome = await journal.post(request("a", "b", 30, id=transfer_id("t")))
    assert (outcome.verdict, outcome.transfer) == (Verdict.EXISTS_DIFFERENT, placed)
    for reason in ("cancelled", "expired"):
        assert await place(journal, mark("t", reason), now=NOW) == placed
    assert await posted(journal, "a") == 100
    for total in await journal.book.totals():
        if total.name == AccountCode.MARKS:
            assert (total.posted, total.pending_in, total.pending_out) == (0, 0, 0)


async def test_what_is_posted_is_never_marked(journal: Journal) -> None:
    await open_funded(journal, a=100, b=0)
    done = (await journal.post(request("a", "b", 30, id=transfer_id("t")))).transfer
    assert done is not None
    assert await place(journal, mark("t"), now=NOW) == done
    assert reason_of(done) is None


async def test_one_of_many_at_once_has_the_id(journal: Journal) -> None:
    await open_funded(journal, a=100, b=0)
    wanted = request("a", "b", 30, id=transfer_id("t"))
    marks = [place(journal, mark("t", reason), now=NOW) for reason in ("x", "y") * 16]
    placed, outcome = await asyncio.gather(asyncio.gather(*marks), journal.post(wanted))
    assert outcome.transfer is not None
    assert {each.hash for each in placed} == {outcome.transfer.hash}
    assert await posted(journal, "b") == (30 if outcome.verdict is Verdict.CREATED else 0)
