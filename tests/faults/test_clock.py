"""The clock of the process jumps while money moves. What counts for money is the database's clock,
read once per batch; so nothing is done twice, early, late or out of order."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from guilder.kernel.clock import rfc3339, utc_now
from guilder.ledger.limits import Limit, Window
from guilder.ledger.models import Verdict
from guilder.ledger.verify import verify
from guilder.storage.base import Storage
from tests.support.books import request
from tests.support.databases import Server
from tests.support.http import PASSWORD, Person, Running, running, settings_for
from tests.support.postgres_books import journal_on, open_funded
from tests.support.spenders import balance, code_of, order, same_again, spender, stands

HOUR = timedelta(hours=1)
DAY = timedelta(hours=25)


@pytest.fixture
async def guilder(server: Server, tmp_path: Path) -> AsyncIterator[Running]:
    async with server.database() as database:
        urls = {"database_url": database.url, "database_owner_url": database.owner_url}
        limits = {"limit_daily_minor": {"USD": 300}}
        async with running(**settings_for(tmp_path, **urls, **limits)) as started:
            yield started


def jumped(by: timedelta) -> time_machine.travel:
    """Return a context in which the clock of the process goes on from another time."""
    return time_machine.travel(utc_now() + by, tick=True)


async def signed_in_again(person: Person) -> Person:
    """A token from the future is refused, and so is one that is too old."""
    body = {"email": person.user["email"], "password": PASSWORD}
    answer = await person.client.post("/v1/login", json=body)
    return Person(person.client, person.user, answer.raise_for_status().json()["access_token"])


async def pay(payer: Person, payee: Person, amount: int, key: str) -> tuple[int, str]:
    answer = await payer.post("/v1/transfers", order(payee, amount), key=key)
    return answer.status_code, answer.json().get("code", "")


@pytest.mark.parametrize("hours", [-1, 1])
async def test_the_process_clock_jumps_during_work(guilder: Running, hours: int) -> None:
    payer, payee = await spender(guilder, 1_000), await spender(guilder)
    over = rfc3339(utc_now() + HOUR / 2)
    held = await payer.post("/v1/holds", order(payee, 50, expires_at=over))
    hold = f"/v1/holds/{held.json()['hold_id']}"
    before = await payer.post("/v1/transfers", order(payee, 100), key="before")
    with jumped(hours * HOUR):
        one, other = await signed_in_again(payer), await signed_in_again(payee)
        same_again(before, await one.post("/v1/transfers", order(payee, 100), key="before"))
        assert await pay(one, payee, 100, "meanwhile") == (201, "")
        assert await pay(one, payee, 51, "too much") == (422, "limit_exceeded")
        while await guilder.app.state.holds.sweep():
            pass
        assert code_of(await one.post(hold + "/release", None)) == (409, "hold_not_expired")
        assert await balance(one) == stands(800, 0, 50)
        taken = await other.post(hold + "/capture", {"amount": 20}, key="capture")
        assert taken.status_code == 201, taken.text
    same_again(taken, await payee.post(hold + "/capture", {"amount": 20}, key="capture"))
    assert await pay(payer, payee, 100, "meanwhile") == (201, "")
    assert await pay(payer, payee, 50, "rest") == (201, "")
    assert await pay(payer, payee, 1, "one more") == (422, "limit_exceeded")
    assert [await balance(each) for each in (payer, payee)] == [stands(730), stands(270)]
    book = guilder.app.state.journal.book
    journal = await book.transfers_after(0, 100)
    times = [each.created_at for each in journal]
    assert times == sorted(times)
    assert times[-1] - times[0] < HOUR / 2
    assert [each.position for each in journal] == list(range(1, len(journal) + 1))
    assert (await verify(book)).ok


@pytest.mark.parametrize("by", [-DAY, DAY], ids=["back", "forward"])
async def test_a_daily_limit_does_not_begin_anew(storage: Storage, by: timedelta) -> None:
    daily = Limit(name="daily", subject="payer", maximum=100, window=Window.DAY)
    async with journal_on(storage.ledger()) as journal:
        await open_funded(journal, payer=1_000, payee=0)
        first = request("payer", "payee", 100, limits=(daily,))
        assert (await journal.post(first)).verdict is Verdict.CREATED
        with jumped(by):
            again = await journal.post(first)
            more = await journal.post(request("payer", "payee", 1, limits=(daily,)))
        assert again.verdict is Verdict.EXISTS
        assert more.verdict is Verdict.LIMIT_EXCEEDED
    assert (await verify(storage.ledger())).ok
