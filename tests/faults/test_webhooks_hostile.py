"""Webhooks repeated, reordered, delayed, forged, lost: every payment is credited exactly once."""

import asyncio
import json
import random
from datetime import timedelta

import httpx2
import pytest

from guilder.gateways import intake
from guilder.gateways.models import ReceiptState, WebhookReceipt
from guilder.gateways.simulator.signatures import HEADER, sign
from guilder.kernel.clock import utc_now
from guilder.kernel.ids import derived_uuid, encode_id
from guilder.payments.models import Payment
from guilder.payments.rules import PaymentStatus
from guilder.storage.base import Collection, Document, Range
from guilder.storage.errors import StorageUnavailable
from tests.support.gateways import World, principal

PAYMENTS = 40


async def receipts(world: World, state: ReceiptState) -> list[WebhookReceipt]:
    found = world.storage.documents(WebhookReceipt)
    return await found.page({"state": state}, within=Range(field="due_at"), limit=500)


async def send(
    world: World, body: bytes, header: str | None = None, *, gateway: str = "simulator"
) -> httpx2.Response:
    url = world.config.webhook_url.replace("simulator", gateway)
    header = header or sign(body, secrets=world.config.webhook_secrets, now=world.clock())
    return await world.client.post(url, content=body, headers={HEADER: header})


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_payment_is_credited_exactly_once(world: World, seed: int) -> None:
    chance = random.Random(seed)
    expected = {PaymentStatus.CAPTURED: 0, PaymentStatus.FAILED: 0, PaymentStatus.PENDING: 0}
    credited: dict[str, int] = {}
    payments: list[Payment] = []
    for number in range(PAYMENTS):
        name, key = f"user{number % 7}", f"{seed}-{number}"
        payment_id = encode_id("payment", derived_uuid("payment", principal(name).user_id, key))
        await world.script(
            payment_id,
            copies=chance.choice([1, 2, 5]),
            delay_ms=chance.choice([0, 0, 30]),
            is_reordered=chance.random() < 0.3,
            is_forged=chance.random() < 0.5,
            is_lost=chance.random() < 0.2,
        )
        amount = chance.randint(1, 10_000)
        payment = await world.begin(name, amount, key)
        payments.append(payment)
        decision = chance.choice(["pay", "pay", "pay", "decline", None])
        if decision is not None:
            await world.press(payment, decision)
        if decision == "pay":
            credited[name] = credited.get(name, 0) + amount
            expected[PaymentStatus.CAPTURED] += 1
        else:
            end = PaymentStatus.FAILED if decision else PaymentStatus.PENDING
            expected[end] += 1
        if chance.random() < 0.2:
            await asyncio.gather(world.company.work(), world.intake.process_due())
    for _ in range(3):
        await world.deliver()
        await asyncio.gather(*(world.intake.process_due() for _ in range(4)))
        world.clock.move(timedelta(minutes=6))
        await asyncio.gather(*(world.payments.checker.check_due() for _ in range(2)))
        while await world.payments.checker.check_due():
            pass
    await _assert_exactly_once(world, payments, expected, credited)


async def _assert_exactly_once(
    world: World,
    payments: list[Payment],
    expected: dict[PaymentStatus, int],
    credited: dict[str, int],
) -> None:
    after = [await world.payment(payment) for payment in payments]
    counted = dict.fromkeys(expected, 0)
    for payment in after:
        counted[payment.status] += 1
    assert counted == expected
    transfers = await world.journal.book.transfers_after(0, 10_000)
    captured = {p.id for p in after if p.status is PaymentStatus.CAPTURED}
    assert len(transfers) == len(captured)
    assert {transfer.metadata["payment_id"] for transfer in transfers} == captured
    for name, amount in credited.items():
        assert await world.balance(name) == amount
    assert await world.clearing() == -sum(credited.values())
    assert await receipts(world, ReceiptState.RECEIVED) == []


async def test_asvs_4_1_5_a_forged_webhook_is_refused_kept_and_without_effect(world: World) -> None:
    payment = await world.begin()
    await world.press(payment)
    body = json.dumps(
        {"id": "evil", "type": "payment.captured", "data": {"id": payment.reference}}
    ).encode()
    answer = await send(world, body, sign(body, secrets=("guess",), now=world.clock()))
    assert (answer.status_code, answer.json()["code"]) == (400, "webhook_signature_invalid")
    await world.intake.process_due()
    assert await world.codes() == []
    (kept,) = await receipts(world, ReceiptState.FORGED)
    assert kept.gateway == "simulator"


async def test_forged_webhooks_fill_a_bounded_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "FORGED_KEPT", 5)
    for number in range(30):
        world.clock.move(timedelta(seconds=2))
        answer = await send(world, b"%d" % number, "t=1,v1=00")
        assert answer.status_code == 400
    assert 2 <= len(await receipts(world, ReceiptState.FORGED)) <= 5


async def test_a_forged_event_id_does_not_keep_the_genuine_one_out(world: World) -> None:
    payment = await world.begin()
    await world.press(payment)
    body = json.dumps(
        {"id": "same", "type": "payment.captured", "data": {"id": payment.reference}}
    ).encode()
    assert (await send(world, body, "t=1,v1=00")).status_code == 400
    assert (await send(world, body)).status_code == 200
    await world.intake.process_due()
    assert await world.balance() == 1_000


async def test_a_genuine_webhook_that_lies_credits_nothing(world: World) -> None:
    """Whoever has the webhook secret still cannot make money: what it says is not believed."""
    payment = await world.begin()
    for number, kind in enumerate(("captured", "failed", "refunded")):
        body = json.dumps(
            {"id": f"e{number}", "type": f"payment.{kind}", "data": {"id": payment.reference}}
        ).encode()
        assert (await send(world, body)).status_code == 200
    await world.intake.process_due()
    assert (await world.payment(payment)).status is PaymentStatus.PENDING
    assert await world.codes() == []


async def test_a_stale_webhook_is_refused(world: World) -> None:
    body = b'{"id":"e1","type":"payment.captured","data":{"id":"x"}}'
    old = sign(body, secrets=world.config.webhook_secrets, now=utc_now() - timedelta(minutes=6))
    assert (await send(world, body, old)).status_code == 400


async def test_an_unknown_kind_is_taken_and_ignored(world: World) -> None:
    body = b'{"id":"e1","type":"dispute.opened","data":{"id":"x"}}'
    assert (await send(world, body)).status_code == 200
    assert len(await receipts(world, ReceiptState.IGNORED)) == 1


async def test_what_is_not_ours_is_taken_and_unmatched(world: World) -> None:
    body = b'{"id":"e1","type":"payment.captured","data":{"id":"simpay_unknown"}}'
    assert (await send(world, body)).status_code == 200
    await world.intake.process_due()
    assert len(await receipts(world, ReceiptState.UNMATCHED)) == 1


async def test_a_gateway_that_is_not_set_up_does_not_exist(world: World) -> None:
    assert (await send(world, b"{}", gateway="nobody")).status_code == 404


async def test_a_webhook_that_cannot_be_stored_is_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_self: Collection[Document], _document: Document) -> None:
        raise StorageUnavailable

    body = b'{"id":"e1","type":"payment.captured","data":{"id":"x"}}'
    with monkeypatch.context() as patch:
        patch.setattr(type(world.intake._receipts), "insert", away)
        answer = await send(world, body)
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        forged = await send(world, body, "t=1,v1=00")
        assert forged.status_code == 400, "the answer does not depend on whether it was kept"
    assert (await send(world, body)).status_code == 200


async def test_webhooks_left_over_by_a_crash_are_processed_after_the_start(
    world: World,
) -> None:
    payment = await world.begin()
    await world.press(payment)
    await world.company.work()
    assert len(await receipts(world, ReceiptState.RECEIVED)) == 2
    world.intake.start()
    async with asyncio.timeout(10):
        while await receipts(world, ReceiptState.RECEIVED):  # noqa: ASYNC110 - a stored fact
            await asyncio.sleep(0.01)
    assert await world.balance() == 1_000


async def test_an_unclear_gateway_leaves_the_webhook_for_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await world.begin()
    await world.press(payment)
    with monkeypatch.context() as patch:
        patch.setattr(world.gateway, "_config", world.config)
        patch.setattr(
            world.gateway, "_client", httpx2.AsyncClient(transport=httpx2.MockTransport(_busy))
        )
        await world.deliver()
    assert len(await receipts(world, ReceiptState.RECEIVED)) == 2
    assert await world.codes() == []
    world.clock.move(timedelta(seconds=2))
    await world.deliver()
    assert await world.balance() == 1_000


def _busy(_request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(503)
