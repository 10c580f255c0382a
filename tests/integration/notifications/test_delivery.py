"""From the outbox to the receiver: once if all goes well, at least once whatever goes wrong."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from guilder.kernel.errors import InvariantViolation
from guilder.kernel.ids import UserId
from guilder.notifications.models import Brake, Channel, Message, MessageState
from guilder.notifications.sending import Fate, NoSender, Outcome
from guilder.notifications.service import Notifications
from guilder.notifications.smtp import SmtpSender
from guilder.notifications.worker import LEASE
from guilder.storage.base import Storage
from guilder.storage.errors import DuplicateDocument, StorageUnavailable
from guilder.vault.rotation import rotate
from guilder.vault.vault import Vault, VaultKey
from tests.support.identity import INDEX_SECRET, VAULT_SECRET, quick_vault
from tests.support.mail_server import mail_server
from tests.support.messages import Post, ToldSender, post, sms_limits, smtp_config

POSTPONED = Outcome(Fate.POSTPONED, "smtp_451")
UNCLEAR = Outcome(Fate.UNCLEAR, "connection_lost")


@pytest.fixture
async def office(storage: Storage) -> Post:
    return await post(storage)


async def test_a_message_is_sent_and_its_content_erased(office: Post) -> None:
    async with mail_server() as server:
        await office.put(user_id=UserId("user_1"))
        waiting = await office.message()
        assert await office.worker(SmtpSender(smtp_config(server.port))).work_due() is False
    (taken,) = server.taken
    assert taken.receivers == ["payer@example.com"]
    assert "12345678" in taken.part("plain")
    assert waiting.to is not None
    assert "payer" not in waiting.to + str(waiting.values)
    sent = await office.message()
    assert (sent.state, sent.attempts) == (MessageState.SENT, 1)
    assert (sent.to, sent.values, sent.user_id) == (None, None, "user_1")
    assert sent.sent_at == office.clock.now


async def test_nothing_is_sent_of_a_change_that_was_undone(office: Post) -> None:
    sender = ToldSender()

    async def undone() -> None:
        async with office.storage.transaction() as transaction:
            await _put(office, transaction)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await undone()
    await office.worker(sender).work_due()
    assert (sender.letters, await office.messages()) == ([], [])
    async with office.storage.transaction() as transaction:
        await _put(office, transaction)
    await office.worker(sender).work_due()
    assert len(sender.letters) == 1


async def _put(office: Post, transaction: Any, **changes: Any) -> None:
    values: dict[str, Any] = {
        "channel": Channel.EMAIL,
        "to": "payer@example.com",
        "template": "password_changed",
        "values": {},
        "user_id": None,
        **changes,
    }
    await office.outbox.put(transaction, **values)


async def test_equal_keys_are_one_message(office: Post) -> None:
    for _ in range(2):
        await office.put(key="user_1 password 2")
    async with office.storage.transaction() as transaction:
        await _put(office, transaction, key="user_1 password 2")
    await asyncio.gather(*(office.put(key="user_1 password 3") for _ in range(8)))
    assert len(await office.messages()) == 2
    sender = ToldSender()
    await office.worker(sender).work_due()
    await office.put(key="user_1 password 2")
    await office.worker(sender).work_due()
    assert len(sender.letters) == 2


async def test_two_transactions_with_one_key_are_one_message(office: Post) -> None:
    both = asyncio.Barrier(2)

    async def change() -> None:
        async with office.storage.transaction() as transaction:
            await transaction.documents(Message).get("message_none")
            await both.wait()
            await _put(office, transaction, key="once")

    ended = await asyncio.gather(change(), change(), return_exceptions=True)
    assert all(
        each is None or isinstance(each, DuplicateDocument | StorageUnavailable) for each in ended
    ), ended
    assert len(await office.messages()) == 1


async def test_a_decoy_costs_a_message_and_is_none(office: Post) -> None:
    sender = ToldSender()
    await office.put(is_decoy=True)
    await office.worker(sender).work_due()
    message = await office.message()
    assert (message.state, message.to, message.values) == (MessageState.EXPIRED, None, None)
    assert sender.letters == []


@pytest.mark.parametrize(
    "wrong", [{"template": "no_such_template"}, {"template": "sign_in_code", "values": {}}]
)
async def test_what_cannot_be_written_is_not_put(office: Post, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvariantViolation):
        await _put(office, None, **wrong)


async def test_of_many_workers_one_sends_a_message(office: Post) -> None:
    sender = ToldSender()
    for number in range(20):
        await office.put(to=f"payer-{number}@example.com")
    workers = [office.worker(sender) for _ in range(8)]
    while any(await asyncio.gather(*(worker.work_due() for worker in workers))):
        pass
    receivers = [letter.to for letter in sender.letters]
    assert sorted(receivers) == sorted({f"payer-{number}@example.com" for number in range(20)})


async def test_what_is_put_off_comes_again_later_and_later(office: Post) -> None:
    await office.put("new_device")
    sender = ToldSender([POSTPONED] * 6)
    worker = office.worker(sender)
    for wait_s in (5, 30, 120, 600, 3600, 3600):
        await worker.work_due()
        office.clock.move(seconds=wait_s - 1)
        before = len(sender.letters)
        await worker.work_due()
        assert len(sender.letters) == before
        office.clock.move(seconds=1)
    await worker.work_due()
    message = await office.message()
    assert (message.state, message.attempts, message.doubts) == (MessageState.SENT, 7, 0)
    assert message.failure is None


async def test_a_refusal_is_the_end(office: Post) -> None:
    await office.put()
    await office.worker(ToldSender([Outcome(Fate.REFUSED, "smtp_550")])).work_due()
    message = await office.message()
    assert (message.state, message.failure) == (MessageState.FAILED, "smtp_550")
    assert (message.to, message.values) == (None, None)


async def test_an_address_that_is_none_is_never_tried(office: Post) -> None:
    async with mail_server() as server:
        await office.put(to="nobody\r\nRCPT TO:<payer@example.com>")
        await office.worker(SmtpSender(smtp_config(server.port))).work_due()
    message = await office.message()
    assert (message.state, message.failure) == (MessageState.FAILED, "address_invalid")
    assert server.taken == []


async def test_what_is_late_is_not_sent(office: Post) -> None:
    sender = ToldSender()
    await office.put(expires_at=office.clock.now + timedelta(minutes=10))
    office.clock.move(minutes=10)
    await office.worker(sender).work_due()
    message = await office.message()
    assert (message.state, message.failure) == (MessageState.EXPIRED, "late")
    assert (message.to, message.values, sender.letters) == (None, None, [])


async def test_nothing_is_tried_for_longer_than_a_day(office: Post) -> None:
    await office.put("new_device", expires_at=office.clock.now + timedelta(days=9))
    sender = ToldSender([POSTPONED] * 99)
    worker = office.worker(sender)
    for _ in range(40):
        await worker.work_due()
        office.clock.move(hours=1)
    message = await office.message()
    assert (message.state, message.failure) == (MessageState.EXPIRED, "smtp_451")
    assert 24 <= len(sender.letters) <= 29


async def test_a_message_without_a_way_out_waits_for_one(office: Post) -> None:
    await office.put()
    await office.worker(NoSender()).work_due()
    message = await office.message()
    assert (message.state, message.failure) == (MessageState.WAITING, "not_set_up")
    office.clock.move(seconds=5)
    sender = ToldSender()
    await office.worker(sender).work_due()
    assert len(sender.letters) == 1


async def test_who_dies_while_sending_costs_one_duplicate_at_most(office: Post) -> None:
    begun = asyncio.Event()

    async def die(_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    await office.put("new_device")
    dying = ToldSender(on_send=die)
    crash = asyncio.create_task(office.worker(dying)._work_on(await office.message()))
    await begun.wait()
    crash.cancel()
    await asyncio.wait([crash])
    sender = ToldSender()
    worker = office.worker(sender)
    await worker.work_due()
    assert sender.letters == [], "the lease still holds"
    office.clock.move(seconds=LEASE.total_seconds())
    for _ in range(3):
        await worker.work_due()
        office.clock.move(hours=1)
    assert [letter.id for letter in sender.letters] == [dying.letters[0].id]
    message = await office.message()
    assert (message.state, message.attempts, message.doubts) == (MessageState.SENT, 2, 1)


async def test_a_database_that_is_away_for_a_moment_costs_no_duplicate(
    office: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [StorageUnavailable(), StorageUnavailable()]
    sender = ToldSender()
    worker = office.worker(sender)
    whole = worker._messages.replace

    async def replacing(message: Message) -> Message:
        if sender.letters and faults:
            raise faults.pop()
        return await whole(message)

    monkeypatch.setattr(worker._messages, "replace", replacing)
    monkeypatch.setattr("guilder.notifications.worker._RECORD_PAUSE_S", 0.0)
    await office.put()
    await worker.work_due()
    assert faults == []
    assert (await office.message()).state is MessageState.SENT


async def test_new_seals_in_the_middle_of_sending_lose_nothing(office: Post) -> None:
    keys = [VaultKey(VAULT_SECRET[::-1]), VaultKey(VAULT_SECRET)]
    vault = Vault(keys, index_secret=INDEX_SECRET)

    async def rewrap(_: object) -> None:
        await rotate(office.storage, vault, [Message])

    await office.put()
    sender = ToldSender(on_send=rewrap)
    await office.worker(sender).work_due()
    office.clock.move(hours=1)
    await office.worker(sender).work_due()
    assert len(sender.letters) == 1
    assert (await office.message()).state is MessageState.SENT


async def test_a_server_in_trouble_is_left_alone(office: Post) -> None:
    away = Outcome(Fate.POSTPONED, "unreachable", is_their_fault=True)
    for number in range(12):
        await office.put("new_device", to=f"payer-{number}@example.com")
    sender = ToldSender([away] * 99)
    worker = office.worker(sender)
    await worker.work_due()
    tried = len(sender.letters)
    assert tried == 10
    office.clock.move(seconds=29)
    assert await worker.work_due() is False
    assert len(sender.letters) == tried
    office.clock.move(seconds=1)
    sender.outcomes.clear()
    while await worker.work_due():
        pass
    assert {message.state for message in await office.messages()} == {MessageState.SENT}


async def test_what_cannot_be_opened_holds_nobody_up(office: Post) -> None:
    await office.put()
    broken = await office.message()
    await office.storage.documents(Message).replace(replace(broken, to="v1.nonsense"))
    await office.put("new_device")
    sender = ToldSender()
    worker = office.worker(sender)
    await worker.work_due()
    assert [letter.template for letter in sender.letters] == ["new_device"]
    office.clock.move(hours=24)
    await worker.work_due()
    assert (await office.messages())[0].state is MessageState.EXPIRED


async def test_what_is_long_over_is_removed(office: Post) -> None:
    await office.put(channel=Channel.SMS, to="+12025550123")
    await office.worker(ToldSender(brakes_with=sms_limits), Channel.SMS).work_due()
    service = _service(office, {})
    assert await service.sweep() is False
    assert len(await office.messages()) == 1
    office.clock.move(days=8, seconds=1)
    await service.sweep()
    assert await office.messages() == []
    assert await office.storage.documents(Brake).page({}, limit=9) == []


def _service(office: Post, senders: dict[Channel, Any]) -> Notifications:
    return Notifications(
        office.storage,
        vault=quick_vault(),
        clock=office.clock,
        senders=senders,
        mailbox=None,
        brand="Guilder",
    )


async def test_running_it_sends_soon_and_stopping_lets_what_is_on_its_way_arrive(
    office: Post,
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> None:
        begun.set()
        await go_on.wait()

    sender = ToldSender(on_send=slow)
    service = _service(office, {Channel.EMAIL: sender})
    service.start()
    await _put(Post(office.storage, office.clock, service.outbox), None)
    async with asyncio.timeout(20):
        await begun.wait()
        stopping = asyncio.create_task(service.stop())
        await asyncio.sleep(0)
        go_on.set()
        await stopping
    assert (await office.message()).state is MessageState.SENT
