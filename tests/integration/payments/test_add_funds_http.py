"""`POST /wallet/add-funds` and `POST /wallet/withdraw` as a client sees them."""

import asyncio
from typing import Any

import httpx2
import pytest

from guilder.payments.models import Payment
from tests.support.gateways import World

ADD = "/wallet/add-funds"
WITHDRAW = "/wallet/withdraw"
FUNDS: dict[str, Any] = {"amount": 1_250, "currency": "USD"}
OUT: dict[str, Any] = {**FUNDS, "destination": {"type": "bank_account", "token": "bank_ok"}}


def base(world: World) -> str:
    return world.config.api_url.removesuffix("/simulator")


async def post(
    world: World, path: str, json: object, *, user: str = "user1", key: str | None = "k1"
) -> httpx2.Response:
    headers = {"authorization": f"Bearer {user}"}
    if key is not None:
        headers["idempotency-key"] = key
    return await world.client.post(base(world) + path, json=json, headers=headers)


async def get(world: World, path: str, *, user: str = "user1") -> httpx2.Response:
    headers = {"authorization": f"Bearer {user}"}
    return await world.client.get(base(world) + path, headers=headers)


async def test_add_funds_is_replayed_byte_for_byte_at_every_stage(world: World) -> None:
    first = await post(world, ADD, FUNDS)
    assert first.status_code == 201
    assert "idempotent-replayed" not in first.headers
    assert first.headers["cache-control"] == "no-store"
    body = first.json()
    assert body["status"] == "pending"
    assert (await world.client.get(body["checkout_url"])).status_code == 200
    payment = (await get(world, f"/v1/payments/{body['payment_id']}")).json()
    assert (payment["status"], payment["transaction_id"]) == ("pending", None)
    await world.press(await _payment(world, body["payment_id"]))
    await world.deliver()
    after = (await get(world, f"/v1/payments/{body['payment_id']}")).json()
    assert after["status"] == "captured"
    assert after["transaction_id"].startswith("transfer_")
    again = await post(world, "/v1" + ADD, {"currency": "USD", "amount": 1_250})
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert await world.codes() == ["payment"]


async def test_the_same_request_eight_times_at_once_has_one_answer(world: World) -> None:
    answers = await asyncio.gather(*(post(world, ADD, FUNDS) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) >= 1


async def test_withdraw_is_replayed_byte_for_byte_at_every_stage(world: World) -> None:
    await world.fund(amount=2_000)
    first = await post(world, WITHDRAW, OUT)
    assert first.status_code == 201, first.text
    body = first.json()
    assert body["balance_after"]["available"] == 750
    assert (body["status"], body["destination"]) == ("requested", OUT["destination"])
    await world.payouts.work()
    await world.deliver()
    paid = (await get(world, f"/v1/payouts/{body['payout_id']}")).json()
    assert (paid["status"], paid["transaction_id"]) == ("paid", body["transaction_id"])
    again = await post(world, "/v1" + WITHDRAW, OUT)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert await world.codes() == ["payment", "payout", "payout_paid"]


@pytest.mark.parametrize(("path", "body"), [(ADD, FUNDS), (WITHDRAW, OUT)])
async def test_a_key_stands_for_one_request(world: World, path: str, body: dict[str, Any]) -> None:
    await world.fund(amount=5_000)
    assert (await post(world, path, body)).status_code == 201
    other = await post(world, path, {**body, "amount": 1_251})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    missing = await post(world, path, body, key=None)
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_required")


async def test_a_refusal_is_decided_afresh(world: World) -> None:
    poor = await post(world, WITHDRAW, OUT)
    assert (poor.status_code, poor.json()["code"]) == (402, "insufficient_funds")
    await world.fund(amount=2_000)
    assert (await post(world, WITHDRAW, OUT)).status_code == 201


@pytest.mark.parametrize("path", [ADD, WITHDRAW])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": 0}, "invalid"),
        ({"amount": -1}, "invalid"),
        ({"amount": 12.0}, "invalid"),
        ({"amount": "12"}, "invalid"),
        ({"amount": True}, "invalid"),
        ({"amount": 2**63}, "invalid"),
        ({"currency": "XXX"}, "currency_unknown"),
        ({"currency": "usd"}, "currency_unknown"),
        ({"gateway": "nobody"}, "gateway_unknown"),
        ({"extra": 1}, "invalid"),
    ],
)
async def test_bad_fields_are_refused(
    world: World, path: str, change: dict[str, Any], code: str
) -> None:
    body = {**(OUT if path == WITHDRAW else FUNDS), **change}
    answer = await post(world, path, body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_an_address_to_return_to_is_absolute(world: World) -> None:
    answer = await post(world, ADD, {**FUNDS, "return_url": "javascript:alert(1)"})
    assert (answer.status_code, answer.json()["code"]) == (422, "return_url_invalid")
    assert answer.json()["errors"][0]["pointer"] == "/return_url"


@pytest.mark.parametrize("token", ["4111111111111111", "", "a b", "a\x00", "ä"])
async def test_a_destination_is_a_token_and_no_card_number(world: World, token: str) -> None:
    body = {**OUT, "destination": {"type": "card", "token": token}}
    assert (await post(world, WITHDRAW, body)).status_code == 422


async def test_another_users_payment_and_payout_do_not_exist(world: World) -> None:
    await world.fund(amount=2_000)
    payment_id = (await post(world, ADD, FUNDS)).json()["payment_id"]
    payout_id = (await post(world, WITHDRAW, OUT)).json()["payout_id"]
    for path in (f"/v1/payments/{payment_id}", f"/v1/payouts/{payout_id}"):
        assert (await get(world, path)).status_code == 200
        foreign = await get(world, path, user="user2")
        missing = await get(world, path[:-1] + ("0" if path[-1] != "0" else "1"))
        assert foreign.status_code == missing.status_code == 404
        assert foreign.json()["detail"] == missing.json()["detail"]
        assert (await get(world, path, user="nobody")).status_code == 401


async def _payment(world: World, payment_id: str) -> Payment:
    found = await world.storage.documents(Payment).get(payment_id)
    assert found is not None
    return found
