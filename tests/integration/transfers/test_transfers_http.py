"""Transfers over HTTP as a resource: said in full, tried out, in batches, given back."""

from datetime import timedelta
from typing import Any

import pytest

from guilder.kernel.clock import utc_now
from guilder.ledger.errors import LimitExceeded
from tests.support.http import Person, Running
from tests.support.spenders import (
    Json,
    at_once,
    balance,
    code_of,
    fund,
    order,
    same_again,
    spender,
    stands,
)


async def sent(payer: Person, payee: Person, amount: int = 1, **more: Any) -> Json:
    made = await payer.post("/v1/transfers", order(payee, amount, **more))
    assert made.status_code == 201, made.text
    found: Json = made.json()
    return found


async def given_back(person: Person, transfer: Json, body: Json, key: str = "") -> Any:
    path = f"/v1/transfers/{transfer['transaction_id']}/reversals"
    return await person.post(path, body, key=key or None)


class TestOne:
    """A transfer with all that may be said about it."""

    async def test_what_was_said_is_kept(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder)
        more = {
            "description": "Dinner",
            "effective_at": "2025-12-31T23:59:59.999+01:00",
            "reference": "INV-1",
            "metadata": {"project": "north", "to": "me"},
        }
        transfer = await sent(payer, payee, 30, **more)
        assert transfer["effective_at"] == "2025-12-31T22:59:59.999Z"
        assert (transfer["reference"], transfer["metadata"]) == ("INV-1", more["metadata"])
        assert transfer["counterparty"] == {"wallet_id": payee.user["wallet_id"]}
        path = f"/v1/transfers/{transfer['transaction_id']}"
        shown = (await payer.get(path)).json()
        assert shown == {**transfer, "reversed_amount": 0}
        received = (await payee.get(path)).json()
        assert (received["type"], received["metadata"]) == ("credit", {})
        assert received["counterparty"] == {"wallet_id": payer.user["wallet_id"]}
        assert received["balance_after"]["posted"] == 30
        assert code_of(await (await spender(guilder)).get(path)) == (404, "not_found")

    async def test_every_retry_is_told_the_same(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder)
        body = order(payee, 30, metadata={"a": "b"})
        first = await payer.post("/v1/transfers", body, key="k")
        same_again(first, await payer.post("/v1/transfers", body, key="k"))
        other = await payer.post("/v1/transfers", order(payee, 30), key="k")
        assert code_of(other) == (422, "idempotency_key_reused")
        assert await balance(payer) == stands(70)

    @pytest.mark.parametrize(
        "more",
        [
            {"metadata": {str(number): "" for number in range(21)}},
            {"metadata": {"a b": "c"}},
            {"metadata": {"a": "b" * 201}},
            {"metadata": {"a": 1}},
            {"reference": "x" * 101},
            {"effective_at": "2026-01-01T00:00:00"},
            {"effective_at": "0001-01-01T00:00:00+14:00"},
            {"effective_at": 1},
            {"amount": 1.0},
        ],
        ids=str,
    )
    async def test_what_cannot_be_said(self, guilder: Running, more: Json) -> None:
        payer = await spender(guilder)
        refused = await payer.post("/v1/transfers", order(payer) | more)
        assert code_of(refused) == (422, "invalid")

    async def test_payments_are_no_transfers(self, guilder: Running) -> None:
        payer = await spender(guilder, 100)
        (line,) = (await payer.get("/v1/transactions")).json()["data"]
        found = await payer.get(f"/v1/transfers/{line['transaction_id']}")
        assert code_of(found) == (404, "not_found")
        assert code_of(await given_back(payer, line, {})) == (404, "not_found")


class TestDryRun:
    """What would happen; and nothing does."""

    async def test_it_foresees_and_changes_nothing(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder)
        book = guilder.app.state.journal.book
        path = "/v1/transfers?dry_run=true"
        head = await book.head()
        foreseen = await payer.post(path, order(payee, 30), key="k")
        assert foreseen.status_code == 200
        assert foreseen.json()["would"] == "complete"
        assert foreseen.json()["balance_after"]["posted"] == 70
        for body, error in (
            (order(payee, 101), (402, "insufficient_funds")),
            (order(payer), (422, "same_account")),
            (order(payee, currency="XXX"), (422, "currency_unknown")),
            (order(payee, to={"email": "nobody@example.com"}), (404, "recipient_not_found")),
            (
                order(payee, to={"wallet_id": "wallet_01h455vb4pex5vsknk084sn02q"}),
                (404, "recipient_not_found"),
            ),
        ):
            assert code_of(await payer.post(path, body)) == error
        assert await book.head() == head
        assert await book.accounts_of(payee.user["wallet_id"]) == []
        real = await payer.post("/v1/transfers", order(payee, 30), key="k")
        assert real.status_code == 201
        assert "Idempotent-Replayed" not in real.headers
        assert real.json()["balance_after"] == foreseen.json()["balance_after"]
        again = await payer.post(path, order(payee, 30), key="k")
        assert again.json()["would"] == "replay"

    async def test_a_reversal_too(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder, 10)
        sent = (await payer.post("/v1/transfers", order(payee, 30))).json()["transaction_id"]
        path = f"/v1/transfers/{sent}/reversals"
        head = await guilder.app.state.journal.book.head()
        foreseen = await payee.post(f"{path}?dry_run=true", {"amount": 10}, key="k")
        assert (foreseen.status_code, foreseen.json()["would"]) == (200, "complete")
        assert foreseen.json()["balance_after"]["posted"] == 30
        too_much = await payee.post(f"{path}?dry_run=true", {"amount": 31})
        assert code_of(too_much) == (422, "reversal_exceeds_original")
        others = await payer.post(f"{path}?dry_run=true", {"amount": 1})
        assert code_of(others) == (404, "not_found")
        assert await guilder.app.state.journal.book.head() == head
        assert (await payee.post(path, {"amount": 10}, key="k")).status_code == 201
        again = await payee.post(f"{path}?dry_run=true", {"amount": 10}, key="k")
        assert again.json()["would"] == "replay"

    async def test_a_closed_wallet_is_foreseen(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder)
        closed = await payee.post(f"/v1/wallets/{payee.user['wallet_id']}/close", None)
        assert closed.is_success
        for path in ("/v1/transfers?dry_run=true", "/v1/transfers"):
            refused = await payer.post(path, order(payee, 1))
            assert code_of(refused) == (409, "account_closed")

    async def test_its_query_is_strict(self, guilder: Running) -> None:
        payer = await spender(guilder)
        for query in ("dry_run=perhaps", "dryrun=true"):
            refused = await payer.post(f"/v1/transfers?{query}", order(payer))
            assert code_of(refused) == (422, "invalid")


class TestReversals:
    """The recipient gives back, never more than there was."""

    async def test_in_parts(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder, 100)
        transfer = await sent(payer, payee, 100, reference="INV-2")
        back = await given_back(payee, transfer, {"amount": 30, "description": "Sorry"})
        assert back.status_code == 201
        found = back.json()
        assert (found["type"], found["amount"], found["reverses"], found["reference"]) == (
            "debit",
            30,
            transfer["transaction_id"],
            "INV-2",
        )
        assert found["counterparty"] == {"wallet_id": payer.user["wallet_id"]}
        too_much = await given_back(payee, transfer, {"amount": 71})
        assert code_of(too_much) == (422, "reversal_exceeds_original")
        rest = await given_back(payee, transfer, {}, key="rest")
        assert rest.json()["amount"] == 70
        same_again(rest, await given_back(payee, transfer, {}, key="rest"))
        other = await given_back(payee, transfer, {"amount": 1}, key="rest")
        assert code_of(other) == (422, "idempotency_key_reused")
        more = await given_back(payee, transfer, {})
        assert code_of(more) == (422, "reversal_exceeds_original")
        shown = (await payer.get(f"/v1/transfers/{transfer['transaction_id']}")).json()
        assert shown["reversed_amount"] == 100
        assert await balance(payer) == stands(100)
        assert code_of(await given_back(payer, found, {})) == (404, "original_not_found")

    async def test_only_by_its_recipient(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder)
        transfer = await sent(payer, payee, 100)
        for person in (payer, await spender(guilder, 100)):
            assert code_of(await given_back(person, transfer, {})) == (404, "not_found")
        assert await balance(payee) == stands(100)

    async def test_only_what_is_there(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder)
        transfer = await sent(payer, payee, 100)
        await sent(payee, await spender(guilder), 1)
        assert code_of(await given_back(payee, transfer, {})) == (402, "insufficient_funds")

    async def test_a_capture_is_given_back(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder)
        hold = (await payer.post("/v1/holds", order(payee, 40))).json()["hold_id"]
        captured = (await payee.post(f"/v1/holds/{hold}/capture", {})).json()
        assert (await given_back(payee, captured, {})).status_code == 201
        assert await balance(payer) == stands(100)

    async def test_64_at_once(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 100), await spender(guilder, 1_000)
        transfer = await sent(payer, payee, 100)
        found = await at_once(given_back(payee, transfer, {"amount": 3}) for _ in range(64))
        assert found == {"201": 33, "reversal_exceeds_original": 31}
        assert [await balance(each) for each in (payer, payee)] == [stands(99), stands(1_001)]


class TestLimits:
    """500 yen at a time, 1,000 a day, all ways out together. Dollars are free."""

    async def test_they_are_named(self, guilder: Running) -> None:
        payer, payee = await spender(guilder), await spender(guilder)
        await fund(guilder, payer, 10_000, "JPY")
        yen = {"currency": "JPY"}
        at_a_time = await payer.post("/v1/transfers", order(payee, 501, **yen))
        assert code_of(at_a_time) == (422, LimitExceeded.code)
        assert at_a_time.json()["errors"][0]["code"] == "limit_per_transfer"
        assert "Retry-After" not in at_a_time.headers
        assert (await payer.post("/v1/wallet/transfer", order(payee, 400, **yen))).is_success
        assert (await payer.post("/v1/holds", order(payee, 400, **yen))).is_success
        bank = {"type": "bank_account", "token": "bank_ok"}
        out = await payer.post("/v1/wallet/withdraw", {"amount": 201, "destination": bank, **yen})
        assert code_of(out) == (422, "limit_exceeded")
        assert out.json()["errors"][0]["code"] == "limit_daily"
        tomorrow = utc_now() + timedelta(seconds=int(out.headers["Retry-After"]))
        assert (tomorrow.hour, tomorrow.minute) == (0, 0)
        foreseen = await payer.post("/v1/transfers?dry_run=true", order(payee, 201, **yen))
        assert code_of(foreseen) == (422, "limit_exceeded")
        assert (await payer.post("/v1/transfers", order(payee, 200, **yen))).is_success

    async def test_64_at_once(self, guilder: Running) -> None:
        payer, payee = await spender(guilder), await spender(guilder)
        await fund(guilder, payer, 10_000, "JPY")
        body = order(payee, 30, currency="JPY")
        found = await at_once(
            payer.post(path, body) for path in ("/v1/transfers", "/v1/holds") for _ in range(32)
        )
        assert found == {"201": 33, "limit_exceeded": 31}
        wallet = (await payer.get("/v1/wallet")).json()
        yen = next(each for each in wallet["balances"] if each["currency"] == "JPY")
        assert yen["available"] == 10_000 - 33 * 30
