"""The care for intents: one process takes what is due, and nothing that is noted is lost."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from guilder.gateways.schedule import CheckSchedule
from guilder.gateways.watch import Watch
from guilder.kernel.errors import InvariantViolation
from guilder.kernel.ids import UserId, WalletId, new_id
from guilder.payments.models import Payment
from guilder.payments.rules import PaymentStatus
from guilder.storage.base import Collection, Range, Storage

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SCHEDULE = CheckSchedule()


@pytest.fixture
async def payments(storage: Storage) -> Collection[Payment]:
    await storage.migrate([Payment])
    collection = storage.documents(Payment)
    # Others' payments in this database are not what these tests look at.
    any_time = Range(field="next_check_at")
    while found := await collection.page({"is_watched": True}, within=any_time, limit=100):
        for each in found:
            await collection.delete(each.id)
    return collection


def intent(due_at: datetime = NOW) -> Payment:
    return Payment(
        id=new_id("payment"),
        user_id=UserId(new_id("user")),
        wallet_id=WalletId(new_id("wallet")),
        amount_minor=100,
        currency="USD",
        gateway="simulator",
        return_url=None,
        fingerprint="",
        status=PaymentStatus.PENDING,
        next_check_at=due_at,
        created_at=NOW,
        updated_at=NOW,
    )


def watch_on(payments: Collection[Payment]) -> Watch[Payment]:
    return Watch(payments, clock=lambda: NOW, schedule=SCHEDULE)


def as_it_is(payment: Payment, _now: datetime) -> Payment:
    return payment


def with_letter(letter: str) -> Callable[[Payment], Payment]:
    return lambda payment: replace(payment, fingerprint=payment.fingerprint + letter)


async def test_what_is_due_is_taken_by_one_of_many(payments: Collection[Payment]) -> None:
    due = [intent() for _ in range(3)]
    for each in (*due, intent(NOW + timedelta(milliseconds=1))):
        await payments.insert(each)
    worked: list[str] = []

    async def work(payment: Payment) -> None:
        stored = await payments.get(payment.id)
        assert stored == payment
        assert payment.next_check_at == SCHEDULE.next_after(NOW, created_at=NOW)
        worked.append(payment.id)

    watches = [watch_on(payments) for _ in range(8)]
    await asyncio.gather(*(watch.work_due(work, taken=as_it_is) for watch in watches))
    assert sorted(worked) == sorted(each.id for each in due)
    assert not await watches[0].work_due(work, taken=as_it_is)
    assert len(worked) == 3


async def test_one_that_fails_holds_up_none_and_is_due_again(payments: Collection[Payment]) -> None:
    due = [intent() for _ in range(20)]
    for each in due:
        await payments.insert(each)
    worked: list[str] = []

    async def work(payment: Payment) -> None:
        worked.append(payment.id)
        if len(worked) % 2:
            raise RuntimeError

    watch = watch_on(payments)
    assert await watch.work_due(work, taken=as_it_is), "a full page: there may be more"
    assert len(worked) == 20
    stored = await payments.get_many(worked)
    assert all(each.is_watched and each.next_check_at > NOW for each in stored.values())


async def test_what_is_noted_when_taken_is_stored_before_the_work(
    payments: Collection[Payment],
) -> None:
    due = intent()
    await payments.insert(due)
    seen: list[Payment | None] = []

    async def work(payment: Payment) -> None:
        seen.append(await payments.get(payment.id))

    def taken(payment: Payment, now: datetime) -> Payment:
        return replace(payment, failure_code=f"taken {now:%H}")

    await watch_on(payments).work_due(work, taken=taken)
    assert [each and each.failure_code for each in seen] == ["taken 12"]


async def test_changes_at_once_are_all_made(payments: Collection[Payment]) -> None:
    payment = intent()
    await payments.insert(payment)
    letters = "abcdefgh"
    await asyncio.gather(
        *(watch_on(payments).change(payment, with_letter(letter)) for letter in letters)
    )
    stored = await payments.get(payment.id)
    assert stored is not None
    assert sorted(stored.fingerprint) == list(letters)


async def test_an_intent_belongs_to_its_gateway(payments: Collection[Payment]) -> None:
    payment = intent()
    await payments.insert(payment)
    watch = watch_on(payments)
    assert await watch.ours(payment.id, gateway="simulator") == payment
    assert await watch.ours(payment.id, gateway="other") is None
    assert await watch.ours(new_id("payment"), gateway="simulator") is None
    with pytest.raises(InvariantViolation):
        await watch.load(new_id("payment"))
