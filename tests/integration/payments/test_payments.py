"""Money in, step by step."""

import asyncio
from datetime import timedelta

import pytest

from guilder.gateways.errors import GatewayUnclear
from guilder.kernel.ids import derived_uuid, encode_id
from guilder.kernel.money import Money
from guilder.ledger.errors import IdempotencyKeyReused
from guilder.payments.models import Payment
from guilder.payments.rules import PaymentStatus
from guilder.payments.service import Order
from tests.support.gateways import World, principal


async def test_a_paid_checkout_credits_the_wallet_once(world: World) -> None:
    payment = await world.begin(amount=1_250)
    assert payment.status is PaymentStatus.PENDING
    await world.press(payment)
    assert await world.balance() == 0, "the browser credits nothing"
    await world.deliver()
    assert await world.balance() == 1_250
    assert await world.clearing() == -1_250
    after = await world.payment(payment)
    assert after.status is PaymentStatus.CAPTURED
    assert after.transfer_id is not None
    assert not after.is_watched


@pytest.mark.parametrize(("decision", "code"), [("decline", "declined"), ("cancel", "cancelled")])
async def test_a_declined_checkout_credits_nothing(world: World, decision: str, code: str) -> None:
    payment = await world.begin()
    await world.press(payment, decision)
    await world.deliver()
    after = await world.payment(payment)
    assert (after.status, after.failure_code) == (PaymentStatus.FAILED, code)
    assert await world.codes() == []


async def test_the_same_key_is_the_same_payment(world: World) -> None:
    first = await world.begin(key="one")
    second = await world.begin(key="one")
    assert (first.id, first.checkout_url) == (second.id, second.checkout_url)
    other = await world.begin("user2", key="one")
    assert other.id != first.id, "keys are scoped to their user"


async def test_a_key_is_not_reused(world: World) -> None:
    who = principal("user1")
    payment = await world.begin(key="one")
    order = Order(
        user_id=who.user_id,
        wallet_id=who.wallet_id,
        money=Money(payment.amount_minor + 1, payment.money.currency),
        gateway=None,
        return_url=None,
    )
    with pytest.raises(IdempotencyKeyReused):
        await world.payments.add_funds(order, key="one", fingerprint=b"\1" * 32)


async def test_a_call_that_times_out_after_its_effect_is_found_out_by_the_retry(
    world: World,
) -> None:
    payment_id = (await world.begin(key="probe")).id
    lost = encode_id("payment", derived_uuid("payment", principal("user1").user_id, "lost"))
    await world.script(lost, hang_ms=0)
    with pytest.raises(GatewayUnclear):
        await world.begin(key="lost")
    await world.script(lost)
    found = await world.begin(key="lost")
    assert found.id == lost != payment_id
    # The company knows one checkout: it was asked again under the same key.
    assert found.reference == encode_id("simpay", derived_uuid("simulated-payment", lost))
    await world.press(found)
    await world.deliver()
    assert await world.balance() == 1_000


async def test_a_call_that_times_out_is_found_out_by_the_janitor(world: World) -> None:
    lost = encode_id("payment", derived_uuid("payment", principal("user1").user_id, "lost"))
    await world.script(lost, hang_ms=0)
    with pytest.raises(GatewayUnclear):
        await world.begin(key="lost")
    await world.script(lost)
    world.clock.move(timedelta(minutes=2))
    await world.payments.checker.check_due()
    assert (await world.begin(key="lost")).checkout_url is not None


async def test_the_janitor_finds_what_no_webhook_told(world: World) -> None:
    payment = await world.begin()
    await world.deliver()
    await world.script(payment.id, is_lost=True)
    await world.press(payment)
    await world.deliver()
    await world.payments.checker.check_due()
    assert await world.balance() == 0, "not due yet"
    world.clock.move(timedelta(seconds=61))
    await world.payments.checker.check_due()
    assert await world.balance() == 1_000


async def test_a_credit_that_its_payment_never_heard_of_is_not_given_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between transfer and document; by the next look the document moved on."""
    payment = await world.begin()
    await world.deliver()
    await world.script(payment.id, is_lost=True)
    await world.press(payment)
    reference = str((await world.payment(payment)).reference)

    async def die(*_: object) -> None:
        raise RuntimeError("the process dies here")

    with monkeypatch.context() as patch:
        patch.setattr(type(world.storage.documents(Payment)), "replace", die)
        with pytest.raises(RuntimeError):
            await world.payments.checker.check_reference(payment.gateway, reference)
    assert await world.balance() == 1_000
    assert (await world.payment(payment)).status is PaymentStatus.PENDING
    world.clock.move(timedelta(seconds=61))
    await world.payments.checker.check_due()
    assert (await world.payment(payment)).status is PaymentStatus.CAPTURED
    assert await world.balance() == 1_000
    assert await world.codes() == ["payment"]


async def test_an_unpaid_payment_expires_and_late_money_still_counts(world: World) -> None:
    payment = await world.begin()
    world.clock.move(timedelta(days=3, minutes=1))
    await world.payments.checker.check_due()
    assert (await world.payment(payment)).status is PaymentStatus.EXPIRED
    await world.press(payment)
    await world.deliver()
    assert (await world.payment(payment)).status is PaymentStatus.CAPTURED
    assert await world.balance() == 1_000


async def test_another_amount_is_an_alarm_and_no_credit(world: World) -> None:
    payment = await world.begin(amount=1_000)
    await world.script(payment.id, reported_amount_minor=999)
    await world.press(payment)
    await world.deliver()
    after = await world.payment(payment)
    assert (after.status, after.failure_code) == (PaymentStatus.ALARMED, "amount_differs")
    await world.script(payment.id)
    assert payment.reference is not None
    await world.payments.checker.check_reference("simulator", payment.reference)
    assert await world.codes() == [], "an alarm stays until an operator has looked"


async def test_money_arrives_in_the_background(world: World) -> None:
    for each in (world.company, world.intake, world.payments):
        each.start()
    payment = await world.begin()
    await world.press(payment)
    async with asyncio.timeout(10):
        while await world.balance() != 1_000:  # noqa: ASYNC110 - a stored fact
            await asyncio.sleep(0.01)
    assert world.intake.is_running
