"""Checkpoints and proofs as others see them; what the health pages say of the books."""

import copy
from typing import Any

import pytest
from msgspec.structs import replace

from guilder.checkpoints.service import CheckpointService
from guilder.wallets.accounts import wallet_account, wallet_account_id
from tests.support.books import NOON, account, request, transfer_id
from tests.support.databases import Database
from tests.support.http import Person, Running
from tests.support.ledger_page import snippet, verify_proof
from tests.support.tampering import blank_hash, blank_head, raise_balances


async def fund(guilder: Running, person: Person, amount: int) -> None:
    journal, wallet_id = guilder.app.state.journal, person.user["wallet_id"]
    await journal.open_accounts([account("mint"), wallet_account(wallet_id, "USD", now=NOON)])
    await journal.post(
        replace(
            request("mint", "payer", amount, id=transfer_id(wallet_id)),
            credit_account_id=wallet_account_id(wallet_id, "USD"),
        )
    )


async def send(guilder: Running, payer: Person, payee: Person, times: int = 1) -> list[str]:
    body = {"amount": 7, "currency": "USD", "to": {"wallet_id": payee.user["wallet_id"]}}
    answers = [await payer.post("/v1/wallet/transfer", body) for _ in range(times)]
    return [answer.raise_for_status().json()["transaction_id"] for answer in answers]


async def sign(guilder: Running) -> None:
    """Have the audit look, and sign."""
    service: CheckpointService = guilder.app.state.checkpoints
    service._interval = service._interval * 0
    while await service.step():
        pass


async def checkpoints(guilder: Running, query: str = "") -> dict[str, Any]:
    answer = await guilder.client.get("/v1/ledger/checkpoints" + query)
    body: dict[str, Any] = answer.raise_for_status().json()
    return body


@pytest.fixture
async def people(guilder: Running) -> tuple[Person, Person]:
    payer, payee = await guilder.person(), await guilder.person()
    await fund(guilder, payer, 1_000)
    return payer, payee


async def test_both_sides_can_prove_a_transaction_and_nobody_else(
    guilder: Running, people: tuple[Person, Person]
) -> None:
    payer, payee = people
    ids = await send(guilder, payer, payee, 5)
    path = f"/v1/transactions/{ids[2]}/proof"
    early = await payer.get(path)
    assert (early.status_code, early.json()["code"]) == (409, "proof_not_ready")
    assert early.headers["retry-after"] == "60"
    await sign(guilder)
    (key,) = (await guilder.client.get("/v1/ledger/keys")).json()["data"]
    for person, mine, others in ((payer, "debit", "credit"), (payee, "credit", "debit")):
        answer = await person.get(path)
        assert answer.headers["cache-control"] == "no-store"
        proof = answer.raise_for_status().json()
        assert verify_proof(proof, key["public_key"]).startswith("7 USD at ")
        shown = {part["name"]: part["content"] for part in proof["parts"]}
        assert shown[mine] is not None
        assert (shown[others], shown["chain"]) == (None, None)
    stranger = await guilder.person()
    assert (await stranger.get(path)).status_code == 404
    assert (await guilder.client.get(path)).status_code == 401
    # The path ends at `/v1` only.
    assert (await payer.get(path.removeprefix("/v1"))).status_code == 404


async def test_a_proof_fails_on_every_changed_byte(
    guilder: Running, people: tuple[Person, Person]
) -> None:
    payer, payee = people
    ids = await send(guilder, payer, payee, 6)
    await sign(guilder)
    (key,) = (await guilder.client.get("/v1/ledger/keys")).json()["data"]
    proof = (await payer.get(f"/v1/transactions/{ids[3]}/proof")).json()
    check = compile(snippet("proof"), "proof", "exec")

    def is_valid(changed: dict[str, Any], public_key: str = key["public_key"]) -> bool:
        try:
            verify_proof(changed, public_key, compiled=check)
        except Exception:  # noqa: BLE001 - whatever it says
            return False
        return True

    assert is_valid(proof)
    assert not is_valid(proof, "00" * 32)
    tried = 0
    for place in _places(proof):
        for changed in _changed(proof, place):
            assert not is_valid(changed), place
            tried += 1
    assert tried > 1_000
    shorter = copy.deepcopy(proof)
    shorter["path"].pop()
    assert not is_valid(shorter)


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every text and number."""
    if isinstance(value, dict):
        return [each for k, v in value.items() for each in _places(v, (*place, k))]
    if isinstance(value, list):
        return [each for k, v in enumerate(value) for each in _places(v, (*place, k))]
    return [] if value is None else [place]


def _changed(proof: dict[str, Any], place: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Return the proof with each character there changed, one at a time."""
    changed = []
    original: Any = proof
    for step in place:
        original = original[step]
    values = (
        [original + 1]
        if isinstance(original, int)
        else [
            f"{original[:i]}{'1' if old != '1' else '2'}{original[i + 1 :]}"
            for i, old in enumerate(original)
        ]
    )
    for value in values:
        another = copy.deepcopy(proof)
        holder: Any = another
        for step in place[:-1]:
            holder = holder[step]
        holder[place[-1]] = value
        changed.append(another)
    return changed


async def test_checkpoints_come_in_pages_newest_first(
    guilder: Running, people: tuple[Person, Person]
) -> None:
    for _ in range(3):
        await send(guilder, *people)
        await sign(guilder)
    everything = (await checkpoints(guilder))["data"]
    assert [each["after"] for each in everything] == [
        *(each["position"] for each in everything[1:]),
        0,
    ]
    page = await checkpoints(guilder, "?limit=1")
    found = page["data"]
    while page["has_more"]:
        page = await checkpoints(guilder, f"?limit=1&cursor={page['next_cursor']}")
        found += page["data"]
    assert found == everything
    for query in ("limit=0", "limit=101", "unknown=1"):
        assert (await guilder.client.get(f"/v1/ledger/checkpoints?{query}")).status_code == 422
    assert (await guilder.client.get("/v1/ledger/checkpoints?cursor=x")).status_code == 400


async def test_nothing_is_signed_while_the_book_rests(
    guilder: Running, people: tuple[Person, Person]
) -> None:
    await send(guilder, *people)
    await sign(guilder)
    before = await checkpoints(guilder)
    await sign(guilder)
    assert await checkpoints(guilder) == before


async def _figures(guilder: Running) -> dict[str, str]:
    text = (await guilder.client.get("/metrics")).text
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("guilder_bo"))


async def test_a_difference_stops_readiness_and_shows_in_the_metrics(
    guilder: Running, new_database: Database, people: tuple[Person, Person]
) -> None:
    ids = await send(guilder, *people)
    await sign(guilder)
    books = (await guilder.client.get("/readyz")).json()["checks"]["books"]
    assert books == {"ok": True, "detail": "right up to 2, 0 to look at"}
    assert await _figures(guilder) == {
        "guilder_books_right": "1.0",
        "guilder_books_verified_position": "2.0",
        "guilder_books_lag": "0.0",
    }
    await raise_balances(new_database)
    await sign(guilder)
    ready = await guilder.client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["books"] == {"ok": False, "detail": "BooksDiffer"}
    assert (await _figures(guilder))["guilder_books_right"] == "0.0"
    assert (await guilder.client.get("/healthz")).status_code == 200
    # What was signed before can be proved still.
    assert (await people[0].get(f"/v1/transactions/{ids[0]}/proof")).status_code == 200


async def test_a_new_process_begins_at_the_newest_checkpoint(
    guilder: Running, new_database: Database, people: tuple[Person, Person]
) -> None:
    ids = await send(guilder, *people)
    await sign(guilder)
    old: CheckpointService = guilder.app.state.checkpoints

    def restarted() -> CheckpointService:
        return CheckpointService(
            guilder.app.state.storage,
            guilder.app.state.journal.book,
            old.key,
            clock=guilder.app.state.clock,
            interval_s=60,
        )

    service = restarted()
    await service.step()
    assert (service.is_right, service.verified_position) == (True, old.verified_position)
    await blank_hash(new_database, 2)
    await blank_head(new_database)
    service = restarted()
    await service.step()
    assert not service.is_right
    problem = (await people[0].get(f"/v1/transactions/{ids[0]}/proof")).json()
    assert problem["code"] == "books_differ"
