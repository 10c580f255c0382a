"""Batches of transfers over HTTP: each for itself, or all or none; no item twice."""

import asyncio

import pytest

from guilder.identity.claims import unclaimed
from guilder.identity.models import User
from guilder.ledger.errors import GroupFailed
from guilder.notifications.models import Channel
from tests.support.http import Person, Running
from tests.support.spenders import (
    Json,
    balance,
    code_of,
    order,
    same_again,
    spender,
    stands,
)

PATH = "/v1/transfers/batch"


def batch(mode: str, *items: Json) -> Json:
    return {"mode": mode, "items": [{"key": f"item {n}", **each} for n, each in enumerate(items)]}


def verdicts(answer: Json) -> list[str]:
    return [each["error"]["code"] if each["error"] else each["status"] for each in answer["items"]]


def nobody(amount: int = 1) -> Json:
    return {"amount": amount, "currency": "USD", "to": {"email": "nobody@example.com"}}


async def pair(guilder: Running, amount: int = 100) -> tuple[Person, Person]:
    return await spender(guilder, amount), await spender(guilder)


async def test_each_for_itself_in_order(guilder: Running) -> None:
    payer, payee = await pair(guilder)
    items = [
        order(payee, 60),
        nobody(),
        order(payee, 41),
        order(payer),
        order(payee, currency="XXX"),
        order(payee, to={"wallet_id": "wallet_x"}),
        order(payee, 40, description="Last"),
    ]
    answer = await payer.post(PATH, batch("independent", *items))
    assert answer.status_code == 200
    found = answer.json()
    assert verdicts(found) == [
        "completed",
        "recipient_not_found",
        "insufficient_funds",
        "same_account",
        "currency_unknown",
        "recipient_not_found",
        "completed",
    ]
    assert (found["completed"], found["refused"]) == (2, 5)
    assert found["items"][6]["transfer"]["description"] == "Last"
    assert [await balance(each) for each in (payer, payee)] == [stands(0), stands(100)]


async def test_asvs_2_3_3_all_or_none(guilder: Running) -> None:
    payer, payee = await pair(guilder)
    fine, too_much = order(payee, 60), order(payee, 41)
    for items, expected in (
        ([fine, too_much], [GroupFailed.code, "insufficient_funds"]),
        ([fine, nobody()], ["group_failed", "recipient_not_found"]),
    ):
        refused = (await payer.post(PATH, batch("atomic", *items))).json()
        assert verdicts(refused) == expected
        assert await balance(payer) == stands(100)
    body = batch("atomic", fine, order(payee, 40))
    first = await payer.post(PATH, body, key="k")
    assert verdicts(first.json()) == ["completed", "completed"]
    same_again(first, await payer.post(PATH, body, key="k"))
    assert await balance(payee) == stands(100)


@pytest.mark.parametrize("mode", ["atomic", "independent"])
async def test_no_item_twice(guilder: Running, mode: str) -> None:
    payer, payee = await pair(guilder)
    body = batch(mode, order(payee, 10), order(payee, 20))
    first, *others = await asyncio.gather(*(payer.post(PATH, body, key="same") for _ in range(8)))
    assert all(each.content == first.content for each in others)
    assert await balance(payer) == stands(70)
    # Alone under its key an item is the same transfer.
    alone = await payer.post("/v1/transfers", order(payee, 10), key="item 0")
    assert alone.headers["Idempotent-Replayed"] == "true"
    assert alone.json() == first.json()["items"][0]["transfer"]
    changed = batch(mode, order(payee, 11), order(payee, 20))
    expected = "group_failed" if mode == "atomic" else "completed"
    assert verdicts((await payer.post(PATH, changed)).json())[0] == "idempotency_key_reused"
    more = batch(mode, order(payee, 10), order(payee, 20), order(payee, 5))
    assert verdicts((await payer.post(PATH, more)).json())[2] == expected
    assert await balance(payer) == stands(70 if mode == "atomic" else 65)


@pytest.mark.parametrize("mode", ["atomic", "independent"])
async def test_what_was_sent_stays_sent_when_the_recipient_has_moved_on(
    guilder: Running, mode: str
) -> None:
    payer, payee = await pair(guilder)
    to = {"email": payee.user["email"]}
    body = batch(mode, order(payee, 10, to=to), order(payee, 20))
    first = await payer.post(PATH, body, key="k")
    assert verdicts(first.json()) == ["completed", "completed"]
    users = guilder.app.state.storage.documents(User)
    await users.replace(unclaimed(await users.get(payee.user["id"]), Channel.EMAIL))
    same_again(first, await payer.post(PATH, body, key="k"))
    changed = batch(mode, order(payee, 11, to=to), order(payee, 20))
    assert verdicts((await payer.post(PATH, changed)).json())[0] == "idempotency_key_reused"
    assert await balance(payer) == stands(70)


async def test_what_is_no_batch(guilder: Running) -> None:
    payer, payee = await pair(guilder)
    item = {"key": "a", **order(payee)}
    for body in (
        {"mode": "atomic", "items": []},
        {"mode": "atomic", "items": [item, item]},
        {"mode": "both", "items": [item]},
        {"mode": "atomic", "items": [order(payee)]},
        {"mode": "atomic", "items": [{**item, "key": " a"}]},
        {"items": [item]},
    ):
        assert code_of(await payer.post(PATH, body)) == (422, "invalid")
    headers = payer.headers
    without = await guilder.client.post(PATH, json=batch("atomic", item), headers=headers)
    assert code_of(without) == (400, "idempotency_key_required")
    assert await balance(payer) == stands(100)


@pytest.mark.parametrize("mode", ["atomic", "independent"])
async def test_nobody_without_money_opens_accounts(guilder: Running, mode: str) -> None:
    """As alone: neither in wallets of others, nor in his own."""
    payer, payee = await pair(guilder)
    book = guilder.app.state.journal.book
    items = [order(payee, 1, currency="EUR"), order(payee, 101), order(payee, 1, currency="INR")]
    found = set(verdicts((await payer.post(PATH, batch(mode, *items))).json()))
    assert found == {"insufficient_funds"}
    assert await book.accounts_of(payee.user["wallet_id"]) == []
    assert len(await book.accounts_of(payer.user["wallet_id"])) == 1
    assert await balance(payer) == stands(100)


async def test_an_account_opens_for_the_item_that_is_paid(guilder: Running) -> None:
    payer, payee = await pair(guilder)
    third = await spender(guilder)
    items = [order(payee, 70), order(third, 31), order(payee, 30, currency="EUR")]
    found = (await payer.post(PATH, batch("independent", *items))).json()
    assert verdicts(found) == ["completed", "insufficient_funds", "insufficient_funds"]
    book = guilder.app.state.journal.book
    assert await book.accounts_of(third.user["wallet_id"]) == []
    assert [each.asset for each in await book.accounts_of(payee.user["wallet_id"])] == ["USD"]
    # A group of which one cannot be paid opens nothing for the others.
    items = [order(third, 10), order(payee, 21)]
    group = {"mode": "atomic", "items": [{"key": f"old {n}", **i} for n, i in enumerate(items)]}
    found = (await payer.post(PATH, group, key="k")).json()
    assert verdicts(found) == ["group_failed", "insufficient_funds"]
    assert await book.accounts_of(third.user["wallet_id"]) == []
    items = [order(third, 10), order(payee, 20)]
    again = {"mode": "atomic", "items": [{"key": f"new {n}", **i} for n, i in enumerate(items)]}
    first = await payer.post(PATH, again, key="k")
    assert verdicts(first.json()) == ["completed", "completed"]
    same_again(first, await payer.post(PATH, again, key="k"))
    assert await balance(payer) == stands(0)


@pytest.mark.parametrize("mode", ["atomic", "independent"])
async def test_a_dry_run_foresees_and_changes_nothing(guilder: Running, mode: str) -> None:
    payer, payee = await pair(guilder)
    book = guilder.app.state.journal.book
    head = await book.head()
    path = PATH + "?dry_run=true"
    fine = batch(mode, order(payee, 60), order(payee, 40))
    foreseen = (await payer.post(path, fine, key="k")).json()
    assert (foreseen["dry_run"], foreseen["completed"]) == (True, 2)
    assert foreseen["items"][1]["transfer"]["balance_after"]["posted"] == 0
    too_much = (await payer.post(path, batch(mode, order(payee, 60), order(payee, 41)))).json()
    assert verdicts(too_much) == [
        "group_failed" if mode == "atomic" else "completed",
        "insufficient_funds",
    ]
    assert "recipient_not_found" in verdicts((await payer.post(path, batch(mode, nobody()))).json())
    assert await book.head() == head
    assert await book.accounts_of(payee.user["wallet_id"]) == []
    real = (await payer.post(PATH, fine, key="k")).json()
    assert (real["dry_run"], real["completed"]) == (False, 2)
    again = await payer.post(path, fine, key="k")
    assert "Idempotent-Replayed" not in again.headers
    assert again.json()["items"] == real["items"]
    strange = await payer.post(PATH + "?dry=true", fine)
    assert code_of(strange) == (422, "invalid")
