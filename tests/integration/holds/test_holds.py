"""Holds over HTTP: made, taken in parts, released, expired; never more than was held."""

import asyncio
from datetime import timedelta

import pytest

from guilder.holds.errors import HoldNotExpired
from guilder.holds.service import HoldService
from guilder.kernel.clock import rfc3339, utc_now
from tests.support.http import Person, Running
from tests.support.spenders import (
    Json,
    at_once,
    balance,
    code_of,
    order,
    same_again,
    spender,
    stands,
)


async def held(payer: Person, payee: Person, amount: int = 100, **more: str) -> Json:
    made = await payer.post("/v1/holds", order(payee, amount, **more))
    assert made.status_code == 201, made.text
    found: Json = made.json()
    return found


async def standing(person: Person, hold: Json) -> tuple[str, int]:
    found = (await person.get(f"/v1/holds/{hold['hold_id']}")).raise_for_status().json()
    return found["status"], found["remaining"]


async def soon_over(guilder: Running, payer: Person, payee: Person) -> Json:
    """Make a hold and wait until its time is over. The sweep is too slow to see it."""
    hold = await held(payer, payee, expires_at=rfc3339(utc_now() + timedelta(milliseconds=300)))
    while (await standing(payer, hold))[0] == "held":  # noqa: ASYNC110 - only asking tells
        await asyncio.sleep(0.02)
    return hold


async def test_made_and_taken_whole(guilder: Running) -> None:
    payer, payee = await spender(guilder, 150), await spender(guilder)
    hold = await held(payer, payee, description="Deposit")
    assert hold["balance_after"]["available"] == 50
    assert await balance(payer) == stands(150, 0, 100)
    assert await balance(payee) == stands(0, 100, 0)
    for person in (payer, payee):
        assert await standing(person, hold) == ("held", 100)
    refused = await payer.post("/v1/transfers", order(payee, 51))
    assert code_of(refused) == (402, "insufficient_funds")
    taken = await payee.post(f"/v1/holds/{hold['hold_id']}/capture", {})
    assert (taken.status_code, taken.json()["amount"]) == (201, 100)
    assert taken.json()["payer_wallet_id"] == payer.user["wallet_id"]
    assert [await balance(each) for each in (payer, payee)] == [stands(50), stands(100)]
    assert await standing(payer, hold) == ("captured", 0)
    again = await payee.post(f"/v1/holds/{hold['hold_id']}/capture", {})
    assert code_of(again) == (409, "hold_settled")


async def test_taken_in_parts(guilder: Running) -> None:
    payer, payee = await spender(guilder, 100), await spender(guilder)
    hold = await held(payer, payee)
    path = f"/v1/holds/{hold['hold_id']}/capture"
    await payee.post(path, {"amount": 30, "keep_rest": True})
    assert await standing(payee, hold) == ("held", 70)
    too_much = await payee.post(path, {"amount": 71})
    assert code_of(too_much) == (422, "capture_exceeds_hold")
    await payee.post(path, {"amount": 50})
    assert await standing(payee, hold) == ("captured", 0)
    assert [await balance(each) for each in (payer, payee)] == [stands(20), stands(80)]


async def test_every_retry_is_told_the_same(guilder: Running) -> None:
    payer, payee = await spender(guilder, 100), await spender(guilder)
    made = [await payer.post("/v1/holds", order(payee, 60), key="k") for _ in range(2)]
    same_again(*made)
    path = f"/v1/holds/{made[0].json()['hold_id']}"
    taken = [await payee.post(f"{path}/capture", {"amount": 20}, key="k") for _ in range(2)]
    same_again(*taken)
    for to, body in (("/v1/holds", order(payee, 61)),):
        assert code_of(await payer.post(to, body, key="k")) == (422, "idempotency_key_reused")
    other = await payee.post(f"{path}/capture", {"amount": 21}, key="k")
    assert code_of(other) == (422, "idempotency_key_reused")
    # It is used up by now, and made again it still is the same.
    same_again(made[0], await payer.post("/v1/holds", order(payee, 60), key="k"))
    assert [await balance(each) for each in (payer, payee)] == [stands(80), stands(20)]


async def test_a_release_is_one_whoever_asks(guilder: Running) -> None:
    payer, payee = await spender(guilder, 100), await spender(guilder)
    hold = await held(payer, payee)
    path = f"/v1/holds/{hold['hold_id']}/release"
    early = await payer.post(path, {})
    assert code_of(early) == (409, HoldNotExpired.code)
    first = await payee.post(path, {})
    assert first.json()["status"] == "released"
    same_again(first, await payee.post(path, {}))
    same_again(first, await payer.post(path, {}))
    assert await standing(payer, hold) == ("released", 0)
    assert [await balance(each) for each in (payer, payee)] == [stands(100), stands(0)]


async def test_what_expires(guilder: Running) -> None:
    payer, payee = await spender(guilder, 200), await spender(guilder)
    swept, asked = [await soon_over(guilder, payer, payee) for _ in range(2)]
    taken = await payee.post(f"/v1/holds/{asked['hold_id']}/capture", {})
    assert code_of(taken) == (410, "hold_expired")
    released = await payer.post(f"/v1/holds/{asked['hold_id']}/release", {})
    assert (released.status_code, released.json()["status"]) == (200, "expired")
    holds: HoldService = guilder.app.state.holds
    await holds.sweep()
    await holds.sweep()
    for hold in (swept, asked):
        assert await standing(payee, hold) == ("expired", 0)
        late = await payee.post(f"/v1/holds/{hold['hold_id']}/capture", {})
        assert code_of(late) == (410, "hold_expired")
    assert [await balance(each) for each in (payer, payee)] == [stands(200), stands(0)]


async def test_others_see_and_touch_nothing(guilder: Running) -> None:
    payer, payee = await spender(guilder, 100), await spender(guilder)
    stranger = await spender(guilder)
    hold = await held(payer, payee)
    path = f"/v1/holds/{hold['hold_id']}"
    assert code_of(await stranger.get(path)) == (404, "not_found")
    for person, action in ((stranger, "capture"), (stranger, "release"), (payer, "capture")):
        assert code_of(await person.post(f"{path}/{action}", {})) == (404, "not_found")
    for nonsense in ("hold_01h455vb4pex5vsknk084sn02q", "x", hold["hold_id"].replace("hold", "h")):
        assert code_of(await payer.get(f"/v1/holds/{nonsense}")) == (404, "not_found")


async def test_a_dry_run_foresees_and_changes_nothing(guilder: Running) -> None:
    payer, payee = await spender(guilder, 100), await spender(guilder)
    book = guilder.app.state.journal.book
    head, path = await book.head(), "/v1/holds?dry_run=true"
    foreseen = await payer.post(path, order(payee, 60), key="k")
    assert (foreseen.status_code, foreseen.json()["would"]) == (200, "complete")
    assert foreseen.json()["balance_after"]["available"] == 40
    assert code_of(await payer.post(path, order(payee, 101))) == (402, "insufficient_funds")
    assert await book.head() == head
    assert await book.accounts_of(payee.user["wallet_id"]) == []
    made = (await payer.post("/v1/holds", order(payee, 60), key="k")).json()
    assert (await payer.post(path, order(payee, 60), key="k")).json()["would"] == "replay"
    head, path = await book.head(), f"/v1/holds/{made['hold_id']}/capture?dry_run=true"
    foreseen = await payee.post(path, {"amount": 20}, key="k")
    assert (foreseen.status_code, foreseen.json()["would"]) == (200, "complete")
    assert foreseen.json()["balance_after"]["posted"] == 20
    assert code_of(await payee.post(path, {"amount": 61})) == (422, "capture_exceeds_hold")
    assert code_of(await payer.post(path, {"amount": 1})) == (404, "not_found")
    assert code_of(await payee.post(path.replace("dry_run", "dry"), {})) == (422, "invalid")
    assert await book.head() == head


@pytest.mark.parametrize(
    "more",
    [
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00Z"},
        {"expires_at": "2027-01-01T00:00:00"},
        {"expires_at": 1},
        {"amount": 0},
        {"surprise": 1},
    ],
    ids=str,
)
async def test_holds_that_cannot_be(guilder: Running, more: Json) -> None:
    payer, payee = await spender(guilder, 100), await spender(guilder)
    refused = await payer.post("/v1/holds", order(payee) | more)
    assert code_of(refused) == (422, "invalid")
    assert await balance(payer) == stands(100)


async def test_a_hold_needs_a_key_and_somebody(guilder: Running) -> None:
    payer = await spender(guilder, 100)
    without = await guilder.client.post("/v1/holds", json=order(payer), headers=payer.headers)
    assert code_of(without) == (400, "idempotency_key_required")
    body = {"amount": 1, "currency": "USD", "to": {"wallet_id": "wallet_x"}}
    assert code_of(await payer.post("/v1/holds", body)) == (404, "recipient_not_found")
    nobody = {**body, "to": {"wallet_id": "wallet_01h455vb4pex5vsknk084sn02q"}}
    assert code_of(await payer.post("/v1/holds", nobody)) == (404, "recipient_not_found")
    assert code_of(await payer.post("/v1/holds", order(payer))) == (422, "same_account")


class TestRaces:
    """64 at once: never over, never under."""

    async def test_captures(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder)
        hold = await held(payer, payee)
        path = f"/v1/holds/{hold['hold_id']}/capture"
        body = {"amount": 3, "keep_rest": True}
        found = await at_once(payee.post(path, body) for _ in range(64))
        assert found == {"201": 33, "capture_exceeds_hold": 31}
        assert [await balance(each) for each in (payer, payee)] == [
            stands(1, 0, 1),
            stands(99, 1, 0),
        ]

    async def test_captures_of_all_that_is_left(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder)
        path = f"/v1/holds/{(await held(payer, payee))['hold_id']}/capture"
        part = {"amount": 10, "keep_rest": True}
        found = await at_once(
            [*(payee.post(path, part) for _ in range(3)), *(payee.post(path, {}) for _ in range(8))]
        )
        assert found["201"] <= 4
        assert [await balance(each) for each in (payer, payee)] == [stands(0), stands(100)]

    async def test_capture_against_release(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder)
        path = f"/v1/holds/{(await held(payer, payee))['hold_id']}"
        both = [
            payee.post(f"{path}/{act}", {}) for act in ("capture", "release") for _ in range(32)
        ]
        found = await at_once(both)
        assert found["201"] + found["200"] in (1, 32)
        taken = 100 if found["201"] else 0
        assert [await balance(each) for each in (payer, payee)] == [
            stands(100 - taken),
            stands(taken),
        ]

    async def test_holds(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder)
        found = await at_once(payer.post("/v1/holds", order(payee, 3)) for _ in range(64))
        assert found == {"201": 33, "insufficient_funds": 31}
        assert await balance(payer) == stands(100, 0, 99)
