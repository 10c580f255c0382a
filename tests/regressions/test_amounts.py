"""Faults others had with amounts and currencies, and with what a client may send."""

import pytest

from guilder.ledger.journal import Journal
from guilder.ledger.models import AMOUNT_MAX, Verdict
from tests.support.books import account, request
from tests.support.http import Running
from tests.support.postgres_books import created, open_funded, posted
from tests.support.spenders import balance, code_of, order, spender, stands
from tests.support.whole_book import whole

NO_AMOUNTS = (
    *("-25", "0", "-0", "9223372036854775808", "-9223372036854775808"),
    *("12.5", "1.0", "1e3", "1E-2", '"25"', "true", "null", "NaN", "Infinity", "[25]", "{}"),
)


async def test_r05_negative_times_negative_is_refused(guilder: Running) -> None:
    """blnkfinance/blnk 5cf64bd: -25 with a precision of -100 was accepted as 2500."""
    payer, payee = await spender(guilder, 100), await spender(guilder, 100)
    headers = payer.headers | {"Idempotency-Key": "k", "Content-Type": "application/json"}
    to = f'"to": {{"wallet_id": "{payee.user["wallet_id"]}"}}'
    for path in ("/v1/wallet/transfer", "/v1/transfers", "/v1/holds"):
        for amount in NO_AMOUNTS:
            body = f'{{"amount": {amount}, "currency": "USD", {to}}}'
            answer = await guilder.client.post(path, content=body, headers=headers)
            assert answer.status_code in (400, 422), (path, amount)
        for more in ({"precision": -100}, {"exponent": 2}, {"currency": "USD/100"}):
            answer = await payer.post(path, order(payee, -25) | more)
            assert answer.status_code == 422, (path, more)
    assert [await balance(each) for each in (payer, payee)] == [stands(100)] * 2


async def test_r05_no_sign_gets_past_the_books(journal: Journal) -> None:
    """blnkfinance/blnk 5cf64bd, where the books are asked directly."""
    await open_funded(journal, payer=100, payee=100)
    before = await whole(journal.book)
    for amount in (-25, -1, 0, AMOUNT_MAX + 1, -AMOUNT_MAX - 1):
        outcome = await journal.post(request("payer", "payee", amount))
        assert outcome.verdict is Verdict.AMOUNT_INVALID
    assert await whole(journal.book) == before


async def test_r06_nobody_pays_himself(guilder: Running) -> None:
    """blnkfinance/blnk cae74b2, 63f41e0: a transfer from an account to itself was accepted."""
    payer = await spender(guilder, 100)
    for path in ("/v1/wallet/transfer", "/v1/transfers", "/v1/holds"):
        assert code_of(await payer.post(path, order(payer, 5))) == (422, "same_account")
    assert await balance(payer) == stands(100)


async def test_r24_no_amount_passes_through_a_float(guilder: Running, journal: Journal) -> None:
    """blnkfinance/blnk#72, #203, #205, #323: floats and precisions drifted."""
    exact = 2**53 + 1  # No float has it.
    payer, payee = await spender(guilder, exact + 2), await spender(guilder)
    sent = await payer.post("/v1/wallet/transfer", order(payee, exact))
    assert (sent.status_code, sent.json()["amount"]) == (201, exact)
    assert [await balance(each) for each in (payer, payee)] == [stands(2), stands(exact)]
    await open_funded(journal, payer=AMOUNT_MAX, payee=0)
    created(await journal.post_all([request("payer", "payee", 1) for _ in range(1_000)]))
    assert [await posted(journal, each) for each in ("payer", "payee")] == [
        AMOUNT_MAX - 1_000,
        1_000,
    ]


@pytest.mark.parametrize("wrong", ["payer", "payee", "both"])
async def test_r28_an_asset_is_never_taken_for_another(journal: Journal, wrong: str) -> None:
    """LerianStudio/midaz, INVARIANTS.md: an account in another asset was coerced in silence."""
    await open_funded(journal, payer=100, payee=0)
    await journal.open_accounts([account("euros", asset="EUR"), account("more", asset="EUR")])
    pair = {"payer": ("euros", "payee"), "payee": ("payer", "euros"), "both": ("euros", "more")}
    before = await whole(journal.book)
    outcome = await journal.post(request(*pair[wrong], 5))
    assert outcome.verdict is Verdict.ASSET_MISMATCH
    assert await whole(journal.book) == before
