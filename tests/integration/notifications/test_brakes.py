"""The last line against floods: what one receiver gets in ten minutes, over all processes."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from guilder.notifications.models import Brake, Channel, MessageState
from guilder.notifications.sending import Fate, Outcome
from guilder.storage.base import Storage
from tests.support.messages import MAIL_LIMITS, Post, ToldSender, post, sms_limits

POSTPONED = Outcome(Fate.POSTPONED, "smtp_451")
UNCLEAR = Outcome(Fate.UNCLEAR, "connection_lost")


@pytest.fixture
async def office(storage: Storage) -> Post:
    return await post(storage)


async def test_a_number_gets_three_messages_in_ten_minutes(office: Post) -> None:
    sender = ToldSender(brakes_with=sms_limits)
    for _ in range(3):
        for _ in range(4):
            await office.put(channel=Channel.SMS, to="+12025550123", **_code(office))
        # Of several processes, each with some of them.
        workers = [office.worker(sender, Channel.SMS) for _ in range(3)]
        await asyncio.gather(*(worker.work_due() for worker in workers))
        assert len(sender.letters) == 3
    states = [message.state for message in await office.messages()]
    assert states.count(MessageState.FAILED) == 9
    office.clock.move(minutes=10)
    await office.put(channel=Channel.SMS, to="+12025550123", **_code(office))
    await office.worker(sender, Channel.SMS).work_due()
    assert len(sender.letters) == 4


def _code(office: Post) -> dict[str, Any]:
    return {"expires_at": office.clock.now + timedelta(minutes=10)}


async def test_a_notice_waits_until_there_is_room(office: Post) -> None:
    sender = ToldSender(brakes_with=sms_limits)
    worker = office.worker(sender, Channel.SMS)
    for _ in range(4):
        await office.put("new_device", channel=Channel.SMS, to="+12025550123")
    await worker.work_due()
    assert len(sender.letters) == 3
    (waiting,) = [each for each in await office.messages() if each.to is not None]
    assert (waiting.failure, waiting.attempts) == ("too_many", 0)
    assert waiting.due_at == office.clock.now + timedelta(minutes=10)
    office.clock.move(minutes=10)
    await worker.work_due()
    assert len(sender.letters) == 4


async def test_a_repeated_attempt_takes_a_place_only_if_it_may_have_been_seen(
    office: Post,
) -> None:
    sender = ToldSender([POSTPONED, POSTPONED, UNCLEAR, UNCLEAR], brakes_with=sms_limits)
    worker = office.worker(sender, Channel.SMS)
    await office.put("new_device", channel=Channel.SMS, to="+12025550123")
    for wait_s in (5, 30, 120, 600, 0):
        await worker.work_due()
        if len(sender.letters) == 4:
            (number,) = [
                brake.sent
                for brake in await office.storage.documents(Brake).page({}, limit=9)
                if len(brake.sent) == 2
            ][:1]
            assert len(number) == 2
        office.clock.move(seconds=wait_s)
    message = await office.message()
    assert (message.state, message.attempts, message.doubts) == (MessageState.SENT, 5, 2)


async def test_the_brakes_name_nobody(office: Post) -> None:
    await office.put(channel=Channel.SMS, to="+12025550123")
    await office.worker(ToldSender(brakes_with=sms_limits), Channel.SMS).work_due()
    brakes = await office.storage.documents(Brake).page({}, limit=9)
    assert len(brakes) == 3
    for brake in brakes:
        assert "202555" not in json.dumps([brake.id, sorted(brake.sent)])


async def test_an_address_is_braked_too(office: Post) -> None:
    sender = ToldSender(brakes_with=MAIL_LIMITS)
    for number in range(12):
        to = "Payer@example.com" if number % 2 else "payer@example.com"
        await office.put(to=to, **_code(office))
    worker = office.worker(sender)
    while await worker.work_due():
        pass
    assert len(sender.letters) == 10
