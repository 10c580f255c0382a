"""Faults others had with what comes in from outside: filters and cursors."""

from tests.support.http import Running
from tests.support.spenders import balance, code_of, order, spender, stands

HOSTILE = (
    "' OR '1'='1",
    "'; DROP TABLE book_main.transfers; --",
    '" OR ""="',
    "\\'; SELECT pg_sleep(10); --",
    "1) UNION SELECT id FROM book_main.transfers --",
    '{"$ne": null}',
    "$where: sleep(10000)",
    "%' ESCAPE '!",
    "{0}{1}%s%(a)s",
)


async def test_r14_no_text_becomes_a_part_of_a_query(guilder: Running) -> None:
    """formancehq/ledger 734cd302c: address filters were put into SQL by string formatting."""
    payer, payee = await spender(guilder, 100), await spender(guilder)
    for text in HOSTILE:
        for name in ("currency", "type", "status", "cursor", "created[gte]", "amount[lt]", text):
            answer = await guilder.client.get(
                "/v1/transactions", params={name: text}, headers=payer.headers
            )
            assert answer.status_code in (400, 422) or answer.json()["data"] == [], (name, text)
        for to in ({"wallet_id": text}, {"email": text}, {"phone": text}, {"email": {"$ne": 1}}):
            answer = await payer.post("/v1/wallet/transfer", order(payee) | {"to": to})
            assert answer.status_code in (404, 422), to
        found = await guilder.client.get(f"/v1/transactions/{text}", headers=payer.headers)
        assert found.status_code in (400, 404)
        said = await payer.post("/v1/wallet/transfer", order(payee, description=text))
        assert (said.status_code, said.json()["description"]) == (201, text)
    assert await balance(payee) == stands(len(HOSTILE))


async def test_r30_a_cursor_belongs_to_its_filters(guilder: Running) -> None:
    """formancehq/stack#43: the page cursor lost its filters, and the next page showed all."""
    payer, payee = await spender(guilder, 100), await spender(guilder, 100)
    for _ in range(3):
        for one, other in ((payer, payee), (payee, payer)):
            await one.post("/v1/wallet/transfer", order(other))
    first = (await payer.get("/v1/transactions?limit=1&type=debit")).json()
    cursor = first["next_cursor"]
    for filters in ("", "&type=credit", "&type=debit&currency=USD", "&type=debit&status=completed"):
        other_list = await payer.get(f"/v1/transactions?limit=1&cursor={cursor}{filters}")
        assert code_of(other_list) == (400, "cursor_mismatch"), filters
    rest = (await payer.get(f"/v1/transactions?limit=9&type=debit&cursor={cursor}")).json()
    assert [each["type"] for each in rest["data"]] == ["debit", "debit"]
