"""Money out, step by step."""

import asyncio
from datetime import timedelta

import pytest

from guilder.gateways.base import GatewayPayout, GatewayPayoutStatus
from guilder.gateways.errors import GatewayUnclear
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import derived_uuid, encode_id
from guilder.ledger.errors import IdempotencyKeyReused, InsufficientFunds
from guilder.payouts.models import Payout
from guilder.payouts.rules import PayoutStatus
from tests.support.gateways import World, principal


async def test_a_payout_that_arrives_leaves_through_the_gateway(world: World) -> None:
    await world.fund(amount=10_000)
    payout = await world.withdraw("bank_ok", amount=4_000)
    assert payout.status is PayoutStatus.REQUESTED
    assert (await world.balance(), await world.in_transit()) == (6_000, 4_000)
    await world.payouts.work()
    assert (await world.payout(payout)).status is PayoutStatus.SENT
    await world.deliver()
    after = await world.payout(payout)
    assert after.status is PayoutStatus.PAID
    assert after.settlement_id is not None
    assert (await world.balance(), await world.in_transit()) == (6_000, 0)
    assert await world.clearing() == -6_000
    assert await world.codes() == ["payment", "payout", "payout_paid"]


async def test_a_payout_that_fails_comes_back_once(world: World) -> None:
    await world.fund(amount=10_000)
    payout = await world.withdraw("bank_fail", amount=4_000)
    await world.script(payout.id, copies=3, is_forged=True)
    await world.payouts.work()
    for _ in range(3):
        await world.deliver()
    after = await world.payout(payout)
    assert (after.status, after.failure_code) == (PayoutStatus.FAILED, "account_unreachable")
    for _ in range(3):
        assert await world.payouts.worker.check_reference("simulator", str(after.reference))
    assert (await world.balance(), await world.in_transit()) == (10_000, 0)
    assert await world.codes() == ["payment", "payout", "payout_returned"]


async def test_a_slow_payout_stays_sent_until_it_is_fetched(world: World) -> None:
    await world.fund()
    payout = await world.withdraw("bank_slow")
    await world.payouts.work()
    await world.deliver()
    await world.payouts.work()
    assert (await world.payout(payout)).status is PayoutStatus.SENT
    world.clock.move(timedelta(seconds=61))
    await world.payouts.work()
    assert (await world.payout(payout)).status is PayoutStatus.PAID


async def test_an_unknown_destination_comes_back(world: World) -> None:
    await world.fund(amount=10_000)
    payout = await world.withdraw("nowhere")
    await world.payouts.work()
    after = await world.payout(payout)
    assert (after.status, after.failure_code) == (PayoutStatus.FAILED, "destination_unknown")
    assert (await world.balance(), await world.in_transit()) == (10_000, 0)


async def test_nothing_is_sent_that_is_not_there(world: World) -> None:
    with pytest.raises(InsufficientFunds):
        await world.withdraw("bank_ok", amount=1)
    await world.fund(amount=100)
    with pytest.raises(InsufficientFunds):
        await world.withdraw("bank_ok", amount=101)
    await world.payouts.work()
    assert await world.codes() == ["payment"]


async def test_the_same_key_withdraws_once(world: World) -> None:
    await world.fund(amount=10_000)
    payouts = await asyncio.gather(
        *(world.withdraw("bank_ok", amount=100, key="one") for _ in range(8))
    )
    assert len({payout.id for payout in payouts}) == 1
    assert await world.balance() == 9_900
    with pytest.raises(IdempotencyKeyReused):
        await world.payouts.withdraw(
            world.order("bank_ok", amount=200), key="one", fingerprint=b"\1" * 32
        )


async def test_the_follower_finds_a_transfer_whose_payout_was_never_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.fund()

    async def crash(_payout: Payout, *, is_new: bool) -> None:
        raise ConnectionError

    monkeypatch.setattr(world.payouts, "_begin", crash)
    with pytest.raises(ConnectionError):
        await world.withdraw("bank_ok", key="lost")
    payout_id = encode_id("payout", derived_uuid("payout", principal("user1").user_id, "lost"))
    who = principal("user1").user_id
    with pytest.raises(NotFound):
        await world.payouts.payout(payout_id, user_id=who)
    for _ in range(3):
        await world.payouts.work()
    found = await world.payouts.payout(payout_id, user_id=who)
    assert found.status is PayoutStatus.SENT
    await world.deliver()
    assert (await world.payout(found)).status is PayoutStatus.PAID
    assert await world.codes() == ["payment", "payout", "payout_paid"]


async def test_an_unclear_answer_stays_unknown_and_is_asked_again_under_the_same_key(
    world: World,
) -> None:
    await world.fund(amount=10_000)
    payout = await world.withdraw("bank_ok")
    await world.script(payout.id, hang_ms=0, is_lost=True)
    for _ in range(3):
        await world.payouts.work()
        world.clock.move(timedelta(minutes=30))
    unknown = await world.payout(payout)
    assert (unknown.status, unknown.reference) == (PayoutStatus.REQUESTED, None)
    assert (await world.balance(), await world.in_transit()) == (9_000, 1_000)
    await world.script(payout.id)
    for _ in range(2):
        world.clock.move(timedelta(hours=1))
        await world.payouts.work()
    after = await world.payout(payout)
    assert after.status is PayoutStatus.PAID
    # The company knows one payout: it was asked again under the same key.
    assert after.reference == encode_id("simout", derived_uuid("simulated-payout", payout.id))
    assert await world.codes() == ["payment", "payout", "payout_paid"]


async def test_what_was_unclear_for_a_day_is_not_sent_again(world: World) -> None:
    await world.fund()
    payout = await world.withdraw("bank_ok")
    world.clock.move(timedelta(days=2))
    await world.script(payout.id, hang_ms=0)
    await world.payouts.work()
    assert (await world.payout(payout)).alarm is None, "it was not asked for before"
    world.clock.move(timedelta(hours=23, minutes=1))
    await world.script(payout.id)
    await world.payouts.work()
    after = await world.payout(payout)
    assert (after.alarm, after.is_watched) == ("unclear_too_long", False)
    assert after.status is PayoutStatus.REQUESTED
    assert await world.in_transit() == 1_000


async def test_another_amount_is_an_alarm_and_moves_nothing(world: World) -> None:
    await world.fund()
    payout = await world.withdraw("bank_ok")
    await world.payouts.work()
    await world.script(payout.id, reported_amount_minor=1)
    await world.deliver()
    after = await world.payout(payout)
    assert (after.status, after.alarm) == (PayoutStatus.SENT, "amount_differs")
    assert await world.codes() == ["payment", "payout"]


async def test_paid_and_failed_at_once_is_one_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that contradicts itself cannot make us pay and return: both ends have one id."""
    await world.fund(amount=10_000)
    payouts = [await world.withdraw("bank_slow", amount=100) for _ in range(10)]
    await world.payouts.work()
    asked = 0

    async def fetch(reference: str) -> GatewayPayout:
        nonlocal asked
        asked += 1
        mine = next(each for each in sent if each.reference == reference)
        return GatewayPayout(
            reference=reference,
            our_reference=mine.id,
            money=mine.money,
            status=(GatewayPayoutStatus.PAID, GatewayPayoutStatus.FAILED)[asked % 2],
            is_live=False,
        )

    sent = [await world.payout(payout) for payout in payouts]
    monkeypatch.setattr(world.gateway, "fetch_payout", fetch)
    await asyncio.gather(
        *(
            world.payouts.worker.check_reference("simulator", str(payout.reference))
            for payout in sent
            for _ in range(6)
        )
    )
    codes = (await world.codes())[11:]
    assert len(codes) == 10
    after = [await world.payout(payout) for payout in payouts]
    paid = [each for each in after if each.status is PayoutStatus.PAID]
    failed = [each for each in after if each.status is PayoutStatus.FAILED]
    assert (len(paid), len(failed)) == (codes.count("payout_paid"), codes.count("payout_returned"))
    assert await world.balance() == 9_000 + 100 * len(failed)
    assert await world.in_transit() == 0


async def test_a_payout_is_its_users_only(world: World) -> None:
    await world.fund()
    payout = await world.withdraw("bank_ok")
    for bad in (payout.id, "payout_x", payout.id.replace("payout", "payment")):
        with pytest.raises(NotFound):
            await world.payouts.payout(bad, user_id=principal("user2").user_id)


async def test_payouts_move_in_the_background(world: World) -> None:
    await world.fund()
    for each in (world.company, world.intake, world.payouts):
        each.start()
    payout = await world.withdraw("bank_ok")
    async with asyncio.timeout(10):
        while (await world.payout(payout)).status is not PayoutStatus.PAID:  # noqa: ASYNC110 - a stored fact
            await asyncio.sleep(0.01)
    assert world.payouts.is_running


async def test_an_unclear_gateway_says_so(world: World) -> None:
    await world.script("payout_x", hang_ms=0)
    with pytest.raises(GatewayUnclear):
        await world.gateway.create_payout(
            "k",
            money=world.order("bank_ok").money,
            our_reference="payout_x",
            destination=world.order("bank_ok").destination,
        )
