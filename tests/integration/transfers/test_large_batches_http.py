"""Batches of as many transfers as the journal takes at once: a verdict for each of them."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from guilder.settings import Settings
from tests.support.http import PASSWORD, Person, Running
from tests.support.spenders import Json, balance, code_of, order, spender, stands

PATH = "/v1/transfers/batch"
ITEMS_MAX = 8_192
PHONE = "+12025550177"


@pytest.fixture(autouse=True)
def _as_when_served() -> Iterator[None]:
    """Let collections skip what was made before, as they do in a server that has started."""
    gc.freeze()
    yield
    gc.unfreeze()


def batch(mode: str, items: list[Json]) -> Json:
    return {
        "mode": mode,
        "items": [{"key": f"salary-2026-01-{n:05}", **each} for n, each in enumerate(items)],
    }


def verdicts(answer: Json) -> list[str]:
    return [each["error"]["code"] if each["error"] else each["status"] for each in answer["items"]]


async def somebody_with_a_number(guilder: Running) -> Person:
    email = "payee-with-a-number@example.com"
    body = {"name": "Payee", "email": email, "phone": PHONE, "password": PASSWORD}
    user = (await guilder.client.post("/v1/register", json=body)).raise_for_status().json()
    named = {"phone": PHONE, "password": PASSWORD}
    answer = (await guilder.client.post("/v1/login", json=named)).raise_for_status()
    return Person(guilder.client, user, answer.json()["access_token"])


async def test_each_of_8192_has_its_verdict_and_none_is_sent_twice(guilder: Running) -> None:
    payer = await spender(guilder, 10_000)
    payees = [await spender(guilder), await spender(guilder), await somebody_with_a_number(guilder)]
    email = payees[1].user["email"]
    ways: list[dict[str, Any]] = [
        {"wallet_id": payees[0].user["wallet_id"]},
        {"email": email},
        {"email": email.upper()},
        {"phone": PHONE},
        {"phone": "+1 (202) 555-0177"},
    ]
    items, expected = [], []
    for n in range(ITEMS_MAX):
        to, amount, verdict = ways[n % len(ways)], 1, "completed"
        if n % 16 == 5:
            to, verdict = {"email": f"nobody-{n}@example.com"}, "recipient_not_found"
        elif n % 16 == 6:
            to, verdict = {"phone": f"+1202556{n:04}"}, "recipient_not_found"
        elif n % 2 == 1:
            amount, verdict = 10_001, "insufficient_funds"
        items.append(order(payer, amount, to=to, description="x" * 100))
        expected.append(verdict)
    body = batch("independent", items)
    first = await payer.post(PATH, body, key="first")
    assert first.status_code == 200
    assert verdicts(first.json()) == expected
    paid = [ways.index(items[n]["to"]) for n in range(ITEMS_MAX) if expected[n] == "completed"]
    parts = [paid.count(0), paid.count(1) + paid.count(2), paid.count(3) + paid.count(4)]
    assert sum(parts) == ITEMS_MAX * 7 // 16
    left = stands(10_000 - sum(parts))
    assert [await balance(each) for each in (payer, *payees)] == [left, *map(stands, parts)]
    again = await payer.post(PATH, body, key="again")
    assert again.content == first.content
    assert [await balance(each) for each in (payer, *payees)] == [left, *map(stands, parts)]


async def test_of_8192_all_or_none(guilder: Running) -> None:
    payer, payee = await spender(guilder, ITEMS_MAX), await spender(guilder)
    items = [order(payee) for _ in range(ITEMS_MAX - 1)]
    answer = (await payer.post(PATH, batch("atomic", [*items, order(payee, 2)]))).json()
    assert (answer["completed"], answer["refused"]) == (0, ITEMS_MAX)
    assert verdicts(answer) == ["group_failed"] * (ITEMS_MAX - 1) + ["insufficient_funds"]
    assert await balance(payer) == stands(ITEMS_MAX)
    over = await payer.post(PATH, batch("atomic", [*items, order(payee), order(payee)]))
    assert code_of(over) == (422, "invalid")
    assert await balance(payer) == stands(ITEMS_MAX)


async def test_a_body_is_bounded_by_its_bytes_too(guilder: Running) -> None:
    payer, payee = await spender(guilder, 1), await spender(guilder)
    limit = Settings.model_fields["body_limit_batch_bytes"].default
    padded = await guilder.client.post(PATH, content=b" " * (limit + 1), headers=payer.headers)
    assert code_of(padded) == (413, "body_too_large")
    elsewhere = await payer.post("/v1/transfers", order(payee, description="x" * 70_000))
    assert code_of(elsewhere) == (413, "body_too_large")
