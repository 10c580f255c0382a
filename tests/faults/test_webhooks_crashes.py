"""The process dies before or after each of its steps: what is left heals, and money moves once."""

import contextlib
from datetime import timedelta
from typing import Any

import pytest

from guilder.gateways.base import Gateways, SubjectKind
from guilder.gateways.intake import WebhookIntake
from guilder.payments.rules import PaymentStatus
from guilder.payments.service import PaymentService
from guilder.payouts.followers import write_payouts
from guilder.payouts.rules import PayoutStatus
from guilder.payouts.service import PayoutService
from tests.support.crashes import (
    GATEWAY,
    JOURNAL,
    Crashed,
    CrashPoints,
    Stepped,
    SteppedStorage,
)
from tests.support.gateways import World

STEPS_MAX = 60


def rewired(world: World, points: CrashPoints) -> World:
    """Return the same world, served by a process whose every step may be its last."""
    storage: Any = SteppedStorage(world.storage, points)
    journal: Any = Stepped(world.journal, points, *JOURNAL)
    gateways = Gateways(Stepped(world.gateway, points, *GATEWAY))
    payments = PaymentService(storage, journal, gateways, clock=world.clock)
    payouts = PayoutService(storage, journal, gateways, clock=world.clock, react=write_payouts)
    handlers = {
        SubjectKind.PAYMENT: payments.checker.check_reference,
        SubjectKind.PAYOUT: payouts.worker.check_reference,
    }
    intake = WebhookIntake(storage, gateways, handlers, clock=world.clock)
    parts = {**vars(world), "payments": payments, "payouts": payouts, "intake": intake}
    return World(**parts)


async def _heal(world: World) -> None:
    """Let a healthy process do what it does by itself, for two hours."""
    for minutes in (0, 2, 5, 15, 90):
        world.clock.move(timedelta(minutes=minutes))
        await world.payments.checker.check_due()
        for _ in range(3):
            await world.payouts.work()
        await world.deliver()
    # The books keep the database's time, which a test cannot move along.
    world.clock.reset()


@pytest.mark.parametrize("is_after", [False, True])
async def test_a_payment_survives_a_crash_at_every_step(world: World, is_after: bool) -> None:
    crashes = 0
    for at in range(1, STEPS_MAX):
        key, before = f"{is_after}-{at}", await world.balance()
        points = CrashPoints(at, is_after=is_after)
        dying = rewired(world, points)
        with contextlib.suppress(Crashed):
            payment = await dying.begin(amount=100, key=key)
            await world.press(payment)
            await world.company.work()
            await dying.intake.process_due()
        await _heal(world)
        payment = await world.begin(amount=100, key=key)
        await world.press(payment)
        await _heal(world)
        assert (await world.payment(payment)).status is PaymentStatus.CAPTURED, at
        assert await world.balance() == before + 100, at
        if points.steps < at:
            break
        crashes += 1
    assert 8 <= crashes < STEPS_MAX - 1
    assert await world.clearing() == -await world.balance()


@pytest.mark.parametrize("token", ["bank_ok", "bank_fail"])
@pytest.mark.parametrize("is_after", [False, True])
async def test_a_payout_survives_a_crash_at_every_step(
    world: World, token: str, is_after: bool
) -> None:
    await world.fund(amount=100_000)
    crashes = 0
    for at in range(1, STEPS_MAX):
        key, before = f"{is_after}-{at}", await world.balance()
        points = CrashPoints(at, is_after=is_after)
        dying = rewired(world, points)
        with contextlib.suppress(Crashed):
            await dying.withdraw(token, amount=100, key=key)
            await dying.payouts.work()
            await world.company.work()
            await dying.intake.process_due()
            await dying.intake.process_due()
        await _heal(world)
        payout = await world.withdraw(token, amount=100, key=key)
        await _heal(world)
        is_paid = token == "bank_ok"
        status = PayoutStatus.PAID if is_paid else PayoutStatus.FAILED
        assert (await world.payout(payout)).status is status, at
        assert await world.balance() == before - (100 if is_paid else 0), at
        assert await world.in_transit() == 0, at
        if points.steps < at:
            break
        crashes += 1
    assert 8 <= crashes < STEPS_MAX - 1
    codes = await world.codes()
    assert codes.count("payout") == len(codes) - 1 - codes.count("payout")
