"""Guessing does not pay: passwords and codes by brute force, and lists of stolen passwords.

Numbers are those of requirement T24, scaled where a smaller number shows the same. Time is moved by
hand: an attacker here loses none of it.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from guilder.identity.codes import OneTimeCodes
from guilder.identity.errors import CodeWrong, InvalidCredentials, TooManyAttempts
from guilder.identity.models import MODELS, Throttle
from guilder.identity.service import IdentityService
from guilder.identity.throttles import SIGN_IN, Throttles
from guilder.storage import open_storage
from guilder.storage.base import Storage
from tests.support.databases import Database
from tests.support.http import Running
from tests.support.identity import PASSWORD, HandClock, application, identity_service

KEY = b"a key for tests, of 32 bytes or so"
VICTIM, HOME = "victim@example.com", "192.0.2.1"
BOTS = [f"198.51.100.{number}" for number in range(200)]
QUARTER = timedelta(minutes=15)


@pytest.fixture
async def throttles(storage: Storage, clock: HandClock) -> Throttles:
    await storage.migrate(MODELS)
    return Throttles(storage, clock=clock, key=KEY)


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, clock) as service:
        await service.register(application(email=VICTIM))
        yield service


async def tried(throttles: Throttles, account: str, address: str) -> int:
    """Attempt once; return 0, or the seconds to wait."""
    try:
        await throttles.check(SIGN_IN, account=account, address=address)
    except TooManyAttempts as error:
        return error.retry_after_s or 0
    return 0


async def test_asvs_6_3_1_wrong_codes_from_two_hundred_addresses(
    storage: Storage, clock: HandClock
) -> None:
    await storage.migrate(MODELS)
    throttles = Throttles(storage, clock=clock, key=KEY)
    codes = OneTimeCodes(storage, clock=clock, key=KEY)
    evaluated: list[datetime] = []

    async def guess(address: str) -> None:
        try:
            await throttles.check("code", account="victim", address=address)
            await codes.given(purpose="sign_in", subject="victim", code="00000000")
        except TooManyAttempts:
            return
        except CodeWrong:
            evaluated.append(clock())

    for _ in range(20):
        await codes.issue(purpose="sign_in", subject="victim")
        await asyncio.gather(*(guess(each) for each in BOTS[:50]))
        clock.move(minutes=1, seconds=31)
    assert len(evaluated) >= 10
    for start in evaluated:
        assert sum(start <= each < start + QUARTER for each in evaluated) <= 10


async def test_nist_sp_800_63b_at_most_a_hundred_failures_in_a_row(
    throttles: Throttles, clock: HandClock
) -> None:
    evaluated = 0
    for number in range(40):
        clock.move(minutes=16)
        # By address and by number: they are counted apart.
        for account in ("victim's address", "victim's number"):
            evaluated += await tried(throttles, account, BOTS[number]) == 0
    assert evaluated == 66


async def test_asvs_6_3_1_sixty_four_at_once_in_several_processes(
    new_database: Database, clock: HandClock
) -> None:
    storages = [
        await open_storage(new_database.url, owner_url=new_database.owner_url) for _ in range(3)
    ]
    try:
        await storages[0].migrate(MODELS)
        processes = [Throttles(each, clock=clock, key=KEY) for each in storages]
        waits = await asyncio.gather(
            *(tried(processes[number % 3], VICTIM, BOTS[number]) for number in range(64))
        )
        assert waits.count(0) == 5
        (counter,) = [
            each
            for each in await storages[0].documents(Throttle).page({}, limit=100)
            if each.tally.failures > 1
        ]
        assert counter.tally.failures == 5
    finally:
        for each in storages:
            await each.close()


async def test_asvs_6_3_1_stolen_lists_are_slowed_down_and_people_are_not(
    throttles: Throttles, clock: HandClock
) -> None:
    # 25 accounts by each address: 5,000 by 200, which need a minute when nobody slows them down.
    # Addresses do not know of each other, so eight of them show what two hundred do.
    unhindered_s, bots = 60, BOTS[:8]
    began, people, refused, honest = clock(), 0, 0, 0
    due = [(began, bot, 0) for bot in bots]
    while due:
        at, bot, number = heapq.heappop(due)
        clock.now = max(at, clock.now)
        wait = await tried(throttles, f"{bot} steals {number}", bot)
        if wait:
            heapq.heappush(due, (clock() + timedelta(seconds=wait), bot, number))
        elif number + 1 < 25:
            heapq.heappush(due, (clock(), bot, number + 1))
        if not wait and number % 2:
            people += 1
            slips = people % 3 == 0
            for is_wrong in (True, False) if slips else (False,):
                who, where = f"person {people}", f"203.0.113.{people}"
                honest += 1
                refused += await tried(throttles, who, where) > 0
                if not is_wrong:
                    await throttles.succeeded(SIGN_IN, account=who, address=where)
    took_s = (clock() - began).total_seconds()
    assert unhindered_s / took_s <= 0.05
    assert honest > 100
    assert refused <= honest * 0.01


async def test_asvs_6_3_1_strangers_cannot_lock_anybody_out(
    identity: IdentityService, clock: HandClock
) -> None:
    session = await identity.login(email=VICTIM, password=PASSWORD, client=HOME)
    refusals: set[type[Exception]] = set()
    for number in range(60):
        clock.move(minutes=16) if number > 10 else None
        with pytest.raises((InvalidCredentials, TooManyAttempts)) as caught:
            await identity.login(email=VICTIM, password="a guess", client=BOTS[number])
        refusals.add(caught.type)
    assert refusals == {InvalidCredentials, TooManyAttempts}
    # A live session goes on, and its owner signs in where they did before.
    refreshed = await identity.refresh(session.refresh_token)
    assert identity.principal(refreshed.access_token).user_id == session.user.id
    await identity.login(email=VICTIM, password=PASSWORD, client=HOME)


@pytest.mark.parametrize("whose", ["known", "unknown"])
async def test_asvs_6_3_8_refusals_over_http_tell_nothing(guilder: Running, whose: str) -> None:
    email = f"{whose}-of-brute-force@example.com"
    if whose == "known":
        body = {"name": "Payer", "email": email, "password": PASSWORD}
        (await guilder.client.post("/v1/register", json=body)).raise_for_status()
    answers = [
        await guilder.client.post("/v1/login", json={"email": email, "password": "a guess"})
        for _ in range(11)
    ]
    statuses = [each.status_code for each in answers]
    assert statuses[:5] == [401] * 5
    assert set(statuses[5:]) <= {401, 429}
    refused = next(each for each in answers if each.status_code == 429)
    assert refused.json()["code"] == "too_many_attempts"
    assert refused.json()["detail"].startswith("Wait ")
    assert refused.headers["retry-after"] in refused.json()["detail"]
    assert refused.headers["cache-control"] == "no-store"


async def test_asvs_6_3_1_the_documentation_says_so(guilder: Running) -> None:
    paths = guilder.app.openapi()["paths"]
    for path in ("/v1/login", "/v1/register"):
        examples = paths[path]["post"]["responses"]["429"]["content"]
        assert "too_many_attempts" in examples["application/problem+json"]["examples"]
