"""What is due is paid once, whoever runs, stops, stalls or moves the clock."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import timedelta

import pytest
from msgspec.structs import replace

from guilder.kernel.currency import UnknownCurrency
from guilder.kernel.errors import InvalidRequest, NotFound, Unavailable
from guilder.kernel.ids import new_id
from guilder.ledger.errors import IdempotencyKeyReused, SameAccount
from guilder.ledger.models import Outcome, TransferRequest
from guilder.schedules.errors import ScheduleEnded
from guilder.schedules.models import Schedule
from guilder.schedules.rules import Every, OccurrenceStatus, ScheduleStatus
from guilder.schedules.service import Plan
from guilder.wallets.accounts import wallet_account_id
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.recipients import Recipient
from tests.integration.schedules.conftest import Table
from tests.support.books import fingerprint
from tests.support.people import principal_of

_keys = (f"key {number}" for number in itertools.count())
PAID, FAILED = OccurrenceStatus.PAID, OccurrenceStatus.FAILED


def plan(table: Table, amount: int = 10, **changes: object) -> Plan:
    wanted = Plan(
        amount_minor=amount,
        currency="USD",
        recipient=Recipient(wallet_id=table.recipient.wallet_id),
        description="Rent",
        start_at=table.people.clock() + timedelta(days=1),
        every=None,
        count=None,
        until=None,
        key=next(_keys),
        fingerprint=fingerprint(amount),
    )
    return replace(wanted, **changes)


async def make(table: Table, amount: int = 10, **changes: object) -> Schedule:
    sender = principal_of(table.sender)
    return (await table.service.create(sender, plan(table, amount, **changes))).schedule


async def run(table: Table) -> None:
    """Let the runner do all that is due."""
    while await table.service.post_due():
        pass


async def test_once_when_it_is_due_and_not_before(table: Table) -> None:
    schedule = await make(table)
    table.people.clock.move(days=1, milliseconds=-1)
    await run(table)
    assert await table.stored(schedule) == schedule
    table.people.clock.move(milliseconds=1)
    await run(table)
    assert (await table.stored(schedule)).status is ScheduleStatus.COMPLETED
    (done,) = await table.done(schedule)
    assert (done.number, done.due_at, done.status) == (1, schedule.start_at, PAID)
    assert await table.received() == 10
    with pytest.raises(ScheduleEnded):
        await table.service.cancel(schedule.id, principal_of(table.sender))


async def test_what_a_stopped_server_missed_is_made_up_for(table: Table) -> None:
    schedule = await make(table, every=Every.DAY, count=4)
    table.people.clock.move(days=3)
    await run(table)
    assert [each.number for each in await table.done(schedule)] == [1, 2, 3]
    table.people.clock.move(days=-2)
    await run(table)
    assert await table.received() == 30
    table.people.clock.move(days=300)
    await run(table)
    assert await table.received() == 40
    assert (await table.stored(schedule)).status is ScheduleStatus.COMPLETED


async def test_eight_processes_at_once_pay_each_occurrence_once(table: Table) -> None:
    schedules = [await make(table, 1, every=Every.DAY, count=4) for _ in range(4)]
    table.people.clock.move(days=4)
    runners = [table.other_process() for _ in range(8)]
    for _ in range(4):
        await asyncio.gather(*(runner.post_due() for runner in runners))
    await run(table)
    for schedule in schedules:
        assert [each.number for each in await table.done(schedule)] == [1, 2, 3, 4]
    assert await table.received() == 16


async def test_a_crash_after_the_payment_pays_no_second_time(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = await make(table, every=Every.DAY, count=2)
    table.people.clock.move(days=1)

    async def dies(*_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as patched:
        patched.setattr(table.service, "_advance", dies)
        assert not await table.service.post_due()
    assert (await table.received(), (await table.stored(schedule)).number) == (10, 1)
    await run(table)
    assert (await table.received(), (await table.stored(schedule)).number) == (10, 2)
    assert [each.status for each in await table.done(schedule)] == [PAID]


async def test_no_money_is_tried_again_then_given_up_for_good(table: Table) -> None:
    schedule = await make(table, 101)
    table.people.clock.move(days=1)
    for attempts, pause in ((1, 1), (2, 5), (3, 18)):
        await run(table)
        stored = await table.stored(schedule)
        assert stored.attempts == attempts
        assert stored.next_attempt_at == table.people.clock() + timedelta(hours=pause)
        table.people.clock.move(hours=pause)
    await run(table)
    (done,) = await table.done(schedule)
    assert (done.status, done.failure_code, done.transfer_id) == (
        FAILED,
        "insufficient_funds",
        None,
    )
    await table.people.fund(table.sender, 1_000)
    # A process that has seen it before it was given up.
    assert await table.service._attempt(schedule)
    assert [each.status for each in await table.done(schedule)] == [FAILED]
    assert await table.people.available(table.sender) == 1_100


async def test_a_second_attempt_pays_and_a_failure_does_not_end_the_rest(table: Table) -> None:
    schedule = await make(table, 101, every=Every.DAY, count=2)
    table.people.clock.move(days=1)
    await run(table)
    table.people.clock.move(days=1)
    await run(table)
    assert [each.status for each in await table.done(schedule)] == [FAILED]
    await table.people.fund(table.sender, 1)
    table.people.clock.move(hours=1)
    await run(table)
    assert [each.status for each in await table.done(schedule)] == [FAILED, PAID]
    assert await table.received() == 101


async def test_a_closed_account_is_not_waited_for(table: Table) -> None:
    schedule = await make(table)
    await table.people.wallets.open_accounts([table.recipient.wallet_id], "USD")
    await table.people.journal.close(wallet_account_id(table.recipient.wallet_id, "USD"))
    table.people.clock.move(days=1)
    await run(table)
    assert [each.failure_code for each in await table.done(schedule)] == ["account_closed"]


async def test_cancelled_means_that_nothing_more_is_paid(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a process that found it due, and stood still while it was cancelled."""
    schedule = await make(table, every=Every.DAY)
    table.people.clock.move(days=1)
    has_begun, goes_on = asyncio.Event(), asyncio.Event()
    post = table.people.wallets.post

    async def stalled(transfer: TransferRequest, wallets: Sequence[str]) -> Outcome:
        has_begun.set()
        await goes_on.wait()
        return await post(transfer, wallets)  # type: ignore[arg-type]

    monkeypatch.setattr(table.people.wallets, "post", stalled)
    runner = asyncio.create_task(run(table))
    await has_begun.wait()
    cancelled = await table.service.cancel(schedule.id, principal_of(table.sender))
    goes_on.set()
    await runner
    assert cancelled.status is ScheduleStatus.CANCELLED
    assert await table.service.cancel(schedule.id, principal_of(table.sender)) == cancelled
    assert await table.stored(schedule) == cancelled
    assert await table.done(schedule) == []
    assert await table.people.available(table.sender) == 100


async def test_sixty_four_cancellations_and_runners_agree(table: Table) -> None:
    schedule = await make(table, every=Every.DAY)
    table.people.clock.move(days=5)
    owner = principal_of(table.sender)
    await asyncio.gather(
        *(table.service.cancel(schedule.id, owner) for _ in range(32)),
        *(table.service.post_due() for _ in range(32)),
    )
    await run(table)
    stored, done = await table.stored(schedule), await table.done(schedule)
    assert stored.status is ScheduleStatus.CANCELLED
    assert [each.number for each in done] == list(range(1, stored.number))
    assert await table.received() == 10 * len(done)


async def test_cancelling_counts_what_was_paid_just_before(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = await make(table, every=Every.DAY)
    table.people.clock.move(days=1)

    async def dies(*_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as patched:
        patched.setattr(table.service, "_advance", dies)
        await table.service.post_due()
    cancelled = await table.service.cancel(schedule.id, principal_of(table.sender))
    assert (cancelled.status, cancelled.number) == (ScheduleStatus.CANCELLED, 2)
    assert [each.status for each in await table.done(schedule)] == [PAID]


async def test_one_key_makes_one_and_others_do_not_see_it(table: Table) -> None:
    sender, order = principal_of(table.sender), plan(table, key="mine")
    made = await asyncio.gather(*(table.service.create(sender, order) for _ in range(8)))
    assert sorted(each.is_replayed for each in made) == [False] + [True] * 7
    assert len({each.schedule.id for each in made}) == 1
    with pytest.raises(IdempotencyKeyReused):
        await table.service.create(sender, plan(table, 11, key="mine"))
    other = principal_of(table.recipient)
    for schedule_id in (made[0].schedule.id, new_id("schedule"), "nonsense"):
        for attempt in (table.service.schedule, table.service.cancel):
            with pytest.raises(NotFound):
                await attempt(schedule_id, other)
    assert await table.service.page(other, after=None, limit=9) == []


async def test_what_can_be_planned(table: Table) -> None:
    for changes, error in (
        ({"currency": "XYZ"}, UnknownCurrency),
        ({"recipient": Recipient(email="nobody@example.com")}, RecipientNotFound),
        ({"recipient": Recipient(wallet_id=table.sender.wallet_id)}, SameAccount),
        ({"start_at": table.people.clock() - timedelta(seconds=1)}, InvalidRequest),
    ):
        with pytest.raises(error):
            await make(table, **changes)
