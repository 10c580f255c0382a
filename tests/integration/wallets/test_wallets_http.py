"""Wallets by id over HTTP: balances as they were, freezing, closing; another's does not exist."""

import asyncio
from datetime import datetime, timedelta

import httpx2
import pytest

from guilder.cli.demo.browser import press
from guilder.kernel.clock import rfc3339
from guilder.ledger.errors import AccountClosed, AccountNotEmpty
from tests.support.http import Person, Running
from tests.support.spenders import (
    Json,
    at_once,
    balance,
    code_of,
    fund,
    order,
    spender,
    stands,
)


def pay(url: str) -> None:
    with httpx2.Client(follow_redirects=True, timeout=10) as browser:
        press(browser, url, "pay")


def path_of(person: Person, rest: str = "") -> str:
    return f"/v1/wallets/{person.user['wallet_id']}{rest}"


async def posted_at(person: Person, as_of: object) -> tuple[int, dict[str, int]]:
    found = await person.get(path_of(person, f"/balances?as_of={as_of}"))
    assert found.status_code == 200, found.text
    answer: Json = found.json()
    return answer["position"], {each["currency"]: each["posted"] for each in answer["balances"]}


async def test_ones_own(guilder: Running) -> None:
    person = await spender(guilder, 5)
    wallet = (await person.get(path_of(person))).json()
    assert (wallet["balance"], wallet["status"]) == (5, "open")
    listed = (await person.get("/v1/wallets")).json()
    assert [each["wallet_id"] for each in listed["data"]] == [wallet["wallet_id"]]
    assert (listed["has_more"], listed["next_cursor"]) == (False, None)


async def test_others_do_not_exist(guilder: Running) -> None:
    person, other = await spender(guilder, 5), await spender(guilder)
    for rest in ("", "/balances", "/transactions"):
        assert code_of(await other.get(path_of(person, rest))) == (404, "not_found")
    for rest in ("/freeze", "/unfreeze", "/close"):
        assert code_of(await other.post(path_of(person, rest), None)) == (404, "not_found")
    assert (await person.post("/v1/transfers", order(other, 5))).status_code == 201


async def test_the_history(guilder: Running) -> None:
    person = await spender(guilder)
    for amount in (1, 2, 3):
        await fund(guilder, person, amount)
    first = (await person.get(path_of(person, "/transactions?limit=2"))).json()
    assert [each["amount"] for each in first["data"]] == [3, 2]
    rest = f"/transactions?limit=2&cursor={first['next_cursor']}"
    assert [
        each["amount"] for each in (await person.get(path_of(person, rest))).json()["data"]
    ] == [1]


async def test_a_currency_that_there_is_not_is_no_filter(guilder: Running) -> None:
    person = await spender(guilder, 1)
    for path in ("/transactions", "/v1/transactions", path_of(person, "/transactions")):
        refused = await person.get(f"{path}?currency=XXXX")
        assert code_of(refused) == (422, "invalid")
        (field,) = refused.json()["errors"]
        assert field["pointer"] == "/query/currency"
        assert (await person.get(f"{path}?currency=JPY")).json()["data"] == []


async def test_balances_as_they_were(guilder: Running) -> None:
    person, other = await spender(guilder, 100), await spender(guilder)
    history: list[tuple[int, str, int]] = []
    for left in (90, 80, 70):
        made = (await person.post("/v1/transfers", order(other, 10))).json()
        line = (await person.get(f"/v1/transactions/{made['transaction_id']}")).json()
        history.append((line["position"], made["timestamp"], left))
        await asyncio.sleep(0.002)  # Two transfers of one millisecond are of one time.
    await fund(guilder, person, 7, "EUR")
    for position, time, left in history:
        expected = {"EUR": 0, "USD": left}
        assert await posted_at(person, position) == (position, expected)
        assert await posted_at(person, time) == (position, expected)
        later = rfc3339(datetime.fromisoformat(time) + timedelta(milliseconds=1))
        assert (await posted_at(person, later))[1] == expected
    first = history[0]
    before = datetime.fromisoformat(first[1]) - timedelta(days=1)
    assert await posted_at(person, rfc3339(before)) == (0, {"EUR": 0, "USD": 0})
    assert (await posted_at(person, first[0] - 1))[1] == {"EUR": 0, "USD": 100}
    now = {"EUR": 7, "USD": 70}
    for future in ("2999-01-01T00:00:00Z", 10**30):
        assert (await posted_at(person, future))[1] == now
    latest = (await person.get(path_of(person, "/balances"))).json()
    assert {each["currency"]: each["available"] for each in latest["balances"]} == now


@pytest.mark.parametrize("as_of", ["yesterday", "2026-01-01T00:00:00", "-1", "", "x" * 65])
async def test_no_moment(guilder: Running, as_of: str) -> None:
    person = await spender(guilder)
    found = await person.get(path_of(person, f"/balances?as_of={as_of}"))
    assert code_of(found) == (422, "invalid")


class TestFreeze:
    """Nothing leaves, in any currency; money arrives."""

    async def test_what_leaves_is_stopped(self, guilder: Running) -> None:
        person, other = await spender(guilder, 100), await spender(guilder, 10)
        hold = (await person.post("/v1/holds", order(other, 20))).json()["hold_id"]
        frozen = await person.post(path_of(person, "/freeze"), None)
        assert (frozen.status_code, frozen.json()["status"]) == (200, "frozen")
        bank = {"type": "bank_account", "token": "bank_ok"}
        for path, body in (
            ("/v1/transfers", order(other)),
            ("/v1/wallet/transfer", order(other)),
            ("/v1/holds", order(other)),
            ("/v1/wallet/withdraw", {"amount": 1, "currency": "USD", "destination": bank}),
        ):
            assert code_of(await person.post(path, body)) == (423, "account_frozen")
        assert (await other.post("/v1/transfers", order(person, 10))).status_code == 201
        assert (await other.post(f"/v1/holds/{hold}/capture", {})).status_code == 201
        thawed = await person.post(path_of(person, "/unfreeze"), None)
        assert thawed.json()["status"] == "open"
        assert (await person.post("/v1/transfers", order(other, 90))).status_code == 201

    async def test_a_currency_that_comes_later_is_frozen_too(self, guilder: Running) -> None:
        person, other = await spender(guilder), await spender(guilder)
        await fund(guilder, other, 10, "EUR")
        assert (await person.post(path_of(person, "/freeze"), None)).is_success
        assert (await other.post("/v1/transfers", order(person, 5, currency="EUR"))).is_success
        back = await person.post("/v1/transfers", order(other, 5, currency="EUR"))
        assert code_of(back) == (423, "account_frozen")
        assert (await person.post(path_of(person, "/unfreeze"), None)).is_success
        assert (await person.post("/v1/transfers", order(other, 5, currency="EUR"))).is_success

    async def test_a_payment_in_a_new_currency_stays_too(self, guilder: Running) -> None:
        person, other = await spender(guilder), await spender(guilder)
        assert (await person.post(path_of(person, "/freeze"), None)).is_success
        funding = {"amount": 5, "currency": "EUR"}
        begun = (await person.post("/v1/wallet/add-funds", funding)).json()
        await asyncio.to_thread(pay, begun["checkout_url"])
        shown = f"/v1/payments/{begun['payment_id']}"
        while (await person.get(shown)).json()["status"] != "captured":  # noqa: ASYNC110 - by asking
            await asyncio.sleep(0.02)
        out = await person.post("/v1/transfers", order(other, 5, currency="EUR"))
        assert code_of(out) == (423, "account_frozen")

    async def test_accounts_and_record_agree_in_the_end(self, guilder: Running) -> None:
        person, other = await spender(guilder, 100), await spender(guilder)
        paths = [path_of(person, rest) for rest in ("/freeze", "/unfreeze")] * 8
        assert await at_once(person.post(path, None) for path in paths) == {"200": 16}
        is_frozen = (await person.get("/v1/wallet")).json()["status"] == "frozen"
        tried = await person.post("/v1/transfers", order(other))
        assert tried.status_code == (423 if is_frozen else 201)


class TestClose:
    """Only when nothing is left; for good."""

    async def test_with_money_it_stays_open(self, guilder: Running) -> None:
        person, other = await spender(guilder, 10), await spender(guilder)
        refused = await person.post(path_of(person, "/close"), None)
        assert code_of(refused) == (409, AccountNotEmpty.code)
        await person.post("/v1/holds", order(other, 10))
        for each in (person, other):
            refused = await each.post(path_of(each, "/close"), None)
            assert code_of(refused) == (409, "account_not_empty")
            assert (await each.get("/v1/wallet")).json()["status"] == "open"

    async def test_closed_is_closed(self, guilder: Running) -> None:
        person, other = await spender(guilder, 10), await spender(guilder, 10)
        await fund(guilder, other, 10, "EUR")
        await person.post("/v1/transfers", order(other, 10))
        for _ in range(2):
            closed = await person.post(path_of(person, "/close"), None)
            assert (closed.status_code, closed.json()["status"]) == (200, "closed")
        for currency in ("USD", "EUR", "EUR"):
            late = await other.post("/v1/transfers", order(person, 1, currency=currency))
            assert code_of(late) == (409, AccountClosed.code)
        many = {"mode": "independent", "items": [{"key": "a", **order(person, currency="EUR")}]}
        found = (await other.post("/v1/transfers/batch", many)).json()
        assert found["items"][0]["error"]["code"] == "account_closed"
        frozen = await person.post(path_of(person, "/freeze"), None)
        assert code_of(frozen) == (409, "account_closed")

    async def test_against_money_that_arrives(self, guilder: Running) -> None:
        person, other = await spender(guilder), await spender(guilder, 64)
        await fund(guilder, person, 1)
        await person.post("/v1/transfers", order(other))
        calls = [other.post("/v1/transfers", order(person)) for _ in range(32)]
        calls.insert(16, person.post(path_of(person, "/close"), None))
        found = await at_once(calls)
        wallet = (await person.get("/v1/wallet")).json()
        assert found["201"] == wallet["balance"]
        assert (wallet["status"] == "closed") == (found["200"] == 1)
        assert wallet["status"] == "open" or wallet["balance"] == 0
        assert await balance(other) == stands(65 - wallet["balance"])
