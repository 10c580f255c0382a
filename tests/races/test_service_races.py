"""64 at once, over and over, for what is used once and is a document: a request for money, a
refresh token, a key under which something is made."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

import pytest

from guilder.identity.models import User
from guilder.identity.sessions import SignIn
from guilder.kernel.errors import GuilderError
from guilder.ledger.errors import IdempotencyKeyReused
from guilder.ledger.verify import verify
from guilder.payment_requests.errors import PaymentRequestEnded
from guilder.payment_requests.models import PaymentRequest
from guilder.payment_requests.service import Created, PaymentRequestService, Wanted
from guilder.storage.base import Storage
from tests.support.books import fingerprint
from tests.support.identity import PASSWORD, application
from tests.support.insisting import insist
from tests.support.people import People, people_on, principal_of
from tests.support.races import CROWD, ROUNDS


@pytest.fixture
async def people(storage: Storage) -> AsyncIterator[People]:
    """The services. In the end the books are right."""
    await storage.migrate([PaymentRequest])
    async with people_on(storage) as people:
        yield people
    report = await verify(storage.ledger())
    assert report.ok, report.difference


@pytest.fixture
def requests(people: People) -> PaymentRequestService:
    return PaymentRequestService(
        people.storage,
        people.journal,
        wallets=people.wallets,
        identity=people.identity,
        clock=people.clock,
        base_url="https://guilder.example",
    )


def wanted(number: int, key: str) -> Wanted:
    return Wanted(
        amount_minor=10 + number,
        currency="USD",
        payer=None,
        description="",
        expires_at=None,
        key=key,
        fingerprint=fingerprint(number),
    )


Call = Callable[[], Awaitable[object]]


async def outcomes(calls: Sequence[Call]) -> list[object]:
    """Make calls at once; return what each came to, or the kind of its refusal."""
    return list(await asyncio.gather(*map(_outcome, calls)))


async def _outcome(call: Call) -> object:
    """Return the answer, or the kind of the refusal."""
    try:
        return await insist(call)
    except GuilderError as error:
        return type(error)


async def balances(people: People, *users: User) -> list[int]:
    return [await people.available(user) for user in users]


async def test_asvs_2_3_4_payment_request_is_paid_once(
    people: People, requests: PaymentRequestService
) -> None:
    payee, one, two = [await people.person() for _ in range(3)]
    for user in (one, two):
        await people.fund(user, 20 * ROUNDS)
    for number in range(ROUNDS):
        made = await requests.create(principal_of(payee), wanted(0, f"key {number}"))
        request_id = made.request.id
        found = await outcomes(
            [
                partial(requests.pay, principal_of((one, two)[n % 2]), request_id, key=f"key {n}")
                for n in range(CROWD)
            ]
        )
        assert found.count(PaymentRequestEnded) == CROWD - 1
        assert (await people.available(payee)) == 10 * (number + 1)
    assert sum(await balances(people, one, two)) == 30 * ROUNDS


async def test_asvs_15_4_2_payment_request_is_paid_or_withdrawn(
    people: People, requests: PaymentRequestService
) -> None:
    payee, payer = [await people.person() for _ in range(2)]
    await people.fund(payer, 10 * ROUNDS)
    paid = 0
    for number in range(ROUNDS):
        made = await requests.create(principal_of(payee), wanted(0, f"key {number}"))
        request_id = made.request.id
        found = await outcomes(
            [
                partial(requests.pay, principal_of(payer), request_id, key="one")
                if n % 2
                else partial(requests.cancel, principal_of(payee), request_id)
                for n in range(CROWD)
            ]
        )
        lost = {each is PaymentRequestEnded for each in found[1::2]}
        assert lost == {found[0] is not PaymentRequestEnded}, "all payments win, or none"
        assert {each is PaymentRequestEnded for each in found[::2]} != lost
        paid += not lost.pop()
        assert await balances(people, payee, payer) == [10 * paid, 10 * (ROUNDS - paid)]


async def test_one_key_makes_one_payment_request(
    people: People, requests: PaymentRequestService
) -> None:
    payee = await people.person()
    for number in range(ROUNDS):
        found = await outcomes(
            [
                partial(requests.create, principal_of(payee), wanted(n % 2, f"key {number}"))
                for n in range(CROWD)
            ]
        )
        assert found.count(IdempotencyKeyReused) == CROWD // 2
        made = [each.request for each in found if isinstance(each, Created)]
        assert len(made) == CROWD // 2
        assert {each.id for each in made} == {made[0].id}


async def test_refresh_token_has_one_successor(people: People) -> None:
    who = application()
    await people.identity.register(who)
    session = await people.identity.login(email=who.email, password=PASSWORD)
    for _ in range(ROUNDS):
        refresh = partial(people.identity.refresh, session.refresh_token)
        told = [each for each in await outcomes([refresh] * CROWD) if isinstance(each, SignIn)]
        assert len(told) == CROWD
        assert {each.refresh_token for each in told} == {told[0].refresh_token}
        assert told[0].refresh_token != session.refresh_token
        session = told[0]
