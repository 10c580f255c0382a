"""`/v1/payment-requests` as a client sees it."""

import asyncio
from typing import Any

import pytest
import segno

from guilder.kernel.ids import new_id
from guilder.payment_requests.qr import svg_of
from tests.support.http import Person, Running
from tests.support.late_money import balance, code, fund

PATH = "/v1/payment-requests"
ASKED: dict[str, Any] = {"amount": 1_250, "currency": "USD", "description": "Dinner"}


@pytest.fixture
async def pair(guilder: Running) -> tuple[Person, Person]:
    """Somebody who asks, and somebody with 20 dollars."""
    payee, payer = await guilder.person(), await guilder.person()
    await fund(guilder, payer, 2_000)
    return payee, payer


async def ask(payee: Person, payer: Person | None, **more: object) -> dict[str, Any]:
    body = {**ASKED, **more}
    if payer is not None:
        body["from"] = {"email": payer.user["email"]}
    answer = await payee.post(PATH, body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_ask_show_pay_and_ask_again(pair: tuple[Person, Person], guilder: Running) -> None:
    payee, payer = pair
    body = {**ASKED, "from": {"wallet_id": payer.user["wallet_id"]}}
    first = await payee.post(PATH, body, key="dinner")
    made = first.json()
    assert first.headers["cache-control"] == "no-store"
    assert made["status"] == "pending"
    assert made["payee"] == {"wallet_id": payee.user["wallet_id"], "name": "Payer"}
    assert made["link"] == f"{guilder.settings.base_url}/pay/{made['payment_request_id']}"
    place = f"{PATH}/{made['payment_request_id']}"
    assert (await payer.get(place)).json() == made

    paid = await payer.post(place + "/pay", None, key="pay dinner")
    assert paid.status_code == 201, paid.text
    assert paid.json()["balance_after"]["posted"] == 750
    assert paid.json()["description"] == "Dinner"
    again = await payer.post(place + "/pay", None, key="pay dinner")
    assert again.content == paid.content
    assert "idempotent-replayed" not in paid.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert code(await payer.post(place + "/pay", None)) == (409, "payment_request_ended")
    assert code(await payee.post(place + "/cancel", None)) == (409, "payment_request_ended")

    shown = (await payee.get(place)).json()
    assert (shown["status"], shown["transaction_id"]) == ("paid", paid.json()["transaction_id"])
    replayed = await payee.post(PATH, body, key="dinner")
    assert replayed.content == first.content
    assert replayed.headers["idempotent-replayed"] == "true"
    changed = await payee.post(PATH, {**body, "amount": 1}, key="dinner")
    assert code(changed) == (422, "idempotency_key_reused")
    line = (await payer.get(f"/v1/transactions/{shown['transaction_id']}")).json()
    assert (line["category"], line["counterparty"]["name"]) == ("payment_request", "Payer")


async def test_decline_and_cancel_answer_the_same_again(pair: tuple[Person, Person]) -> None:
    payee, payer = pair
    for person, end, status in ((payer, "decline", "declined"), (payee, "cancel", "cancelled")):
        place = f"{PATH}/{(await ask(payee, payer))['payment_request_id']}"
        done = await person.post(f"{place}/{end}", None)
        assert (done.status_code, done.json()["status"]) == (200, status)
        assert (await person.post(f"{place}/{end}", None)).content == done.content
        assert code(await payer.post(place + "/pay", None)) == (409, "payment_request_ended")
    assert await balance(payer) == 2_000


async def test_an_open_request_hides_who_paid_from_others(
    pair: tuple[Person, Person], guilder: Running
) -> None:
    payee, payer = pair
    made = await ask(payee, None)
    assert made["is_open"] is True
    place = f"{PATH}/{made['payment_request_id']}"
    assert (await payer.post(place + "/pay", None)).status_code == 201
    seen = [(await each.get(place)).json() for each in (payee, payer, await guilder.person())]
    assert [each["status"] for each in seen] == ["paid"] * 3
    assert seen[0] == seen[1]
    assert seen[0]["payer"] == {"wallet_id": payer.user["wallet_id"]}
    assert (seen[2]["payer"], seen[2]["transaction_id"]) == (None, None)
    (listed,) = (await payer.get(PATH + "?role=payer")).json()["data"]
    assert listed == seen[1]


async def test_other_peoples_do_not_exist(pair: tuple[Person, Person], guilder: Running) -> None:
    made, stranger = await ask(*pair), await guilder.person()
    for request_id in (made["payment_request_id"], new_id("payment_request"), "nonsense"):
        place = f"{PATH}/{request_id}"
        for path in ("", "/qr"):
            assert code(await stranger.get(place + path)) == (404, "not_found")
        for path in ("/pay", "/decline", "/cancel"):
            assert code(await stranger.post(place + path, None)) == (404, "not_found")


async def test_lists_by_page(pair: tuple[Person, Person]) -> None:
    payee, payer = pair
    made = [(await ask(payee, payer))["payment_request_id"] for _ in range(5)]
    for person, role in ((payee, "payee"), (payer, "payer")):
        path, found = f"{PATH}?role={role}&limit=2", []
        page = (await person.get(path)).json()
        found += page["data"]
        while page["has_more"]:
            page = (await person.get(f"{path}&cursor={page['next_cursor']}")).json()
            found += page["data"]
        assert sorted(each["payment_request_id"] for each in found) == sorted(made)
        times = [each["created_at"] for each in found]
        assert times == sorted(times, reverse=True)
    cursor = (await payee.get(PATH + "?limit=2")).json()["next_cursor"]
    wrong = await payee.get(f"{PATH}?role=payer&cursor={cursor}")
    assert code(wrong) == (400, "cursor_mismatch")
    assert code(await payee.get(PATH + "?cursor=nonsense")) == (400, "malformed")
    assert code(await payee.get(PATH + "?wallet=1")) == (422, "invalid")


async def test_what_is_refused(pair: tuple[Person, Person]) -> None:
    changes: list[dict[str, Any]] = [
        {"amount": 0},
        {"amount": 1.5},
        {"from": {}},
        {"from": {"email": "a@example.com", "phone": "+12025550123"}},
        {"note": ""},
        {"description": "x" * 201},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00Z"},
        {"expires_at": "0001-01-01T00:00:00+14:00"},
        {"expires_at": "2027-01-01T00:00:00"},
        {"expires_at": 1_800_000_000},
        {"expires_at": "soon"},
    ]
    for change in changes:
        answer = await pair[0].post(PATH, {**ASKED, **change})
        assert code(answer) == (422, "invalid"), change
        assert answer.json()["errors"]


async def test_refusals_that_have_a_name(pair: tuple[Person, Person]) -> None:
    payee, payer = pair
    to_nobody = {**ASKED, "from": {"email": "nobody@example.com"}}
    assert code(await payee.post(PATH, to_nobody)) == (404, "recipient_not_found")
    to_himself = {**ASKED, "from": {"email": payee.user["email"]}}
    assert code(await payee.post(PATH, to_himself)) == (422, "same_account")
    big = await ask(payee, payer, amount=2_001)
    place = f"{PATH}/{big['payment_request_id']}/pay"
    assert code(await payer.post(place, None)) == (402, "insufficient_funds")
    bare = await payer.client.post(place, headers=payer.headers)
    assert code(bare) == (400, "idempotency_key_required")
    assert code(await payer.client.post(place)) == (401, "unauthenticated")


async def test_sixty_four_at_once_over_http(pair: tuple[Person, Person]) -> None:
    payee, payer = pair
    place = f"{PATH}/{(await ask(payee, payer))['payment_request_id']}"
    answers = await asyncio.gather(
        *(payer.post(place + "/pay", None, key="one key") for _ in range(32)),
        *(payee.post(place + "/cancel", None) for _ in range(32)),
    )
    paid = {each.content for each in answers[:32] if each.status_code == 201}
    cancelled = {each.content for each in answers[32:] if each.status_code == 200}
    assert len(paid) + len(cancelled) == 1
    assert await balance(payee) == 1_250 * len(paid)


async def test_the_qr_code_is_the_link(pair: tuple[Person, Person]) -> None:
    payee, _ = pair
    made = await ask(payee, None)
    answer = await payee.get(f"{PATH}/{made['payment_request_id']}/qr")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.content == svg_of(made["link"]) != svg_of(made["link"] + "x")
    assert b"<svg " in answer.content
    assert segno.make_qr(made["link"], error="m").error in {"M", "Q", "H"}


async def test_it_is_documented(guilder: Running) -> None:
    paths = (await guilder.client.get("/openapi.json")).json()["paths"]
    pay = paths[PATH + "/{payment_request_id}/pay"]["post"]
    assert {"201", "402", "404", "409", "410", "422", "423"} <= set(pay["responses"])
    names = [each["name"] for each in pay["parameters"]]
    assert names == ["payment_request_id", "Idempotency-Key", "Step-Up"]
    qr = paths[PATH + "/{payment_request_id}/qr"]["get"]
    assert list(qr["responses"]["200"]["content"]) == ["image/svg+xml"]
