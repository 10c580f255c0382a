"""T30: who has the database and not the keys learns nobody's address, number or secret.

Through real HTTP where people give addresses to others, and on both engines. The test that the key
is changed under load is in `tests/integration/vault/test_rotation.py`.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from guilder.identity.models import RegistrationAnswer, User
from guilder.middlewares.idempotency import request_fingerprint
from guilder.transfers.schemas import TransferBody
from guilder.vault.errors import SealBroken
from tests.support.databases import Database
from tests.support.dumps import dump, secrets_in
from tests.support.http import PASSWORD, Person, Running, running, settings_for
from tests.support.identity import application
from tests.support.late_money import fund

PEOPLE = 500
"""With an address and a number each: 1,000 values."""
AT_ONCE = 16
ENCRYPTION_KEY = "an encryption key for tests, long enough"


@pytest.fixture
async def sealed(new_database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """A Guilder on a database of its own."""
    urls = {"database_url": new_database.url, "database_owner_url": new_database.owner_url}
    async with running(**settings_for(tmp_path, encryption_key=ENCRYPTION_KEY, **urls)) as started:
        yield started


async def seed(guilder: Running) -> list[tuple[str, str, str]]:
    """Register people; return their names, addresses and numbers."""
    people = [
        (
            f"Somebody {number}",
            f"person-{number}-{secrets.token_hex(6)}@example.com",
            f"+1202555{number:04}",
        )
        for number in range(PEOPLE)
    ]
    gate = asyncio.Semaphore(AT_ONCE)

    async def register(name: str, email: str, phone: str) -> None:
        async with gate:
            wanted = application(name=name, email=email, phone=phone)
            await guilder.app.state.identity.register(wanted, idempotency_key=f"key {name}")

    await asyncio.gather(*[register(*person) for person in people])
    return people


def order(**to: str) -> dict[str, Any]:
    return {"amount": 10, "currency": "USD", "to": to, "description": "Dinner"}


async def live(person: Person, email: str, phone: str) -> list[dict[str, Any]]:
    """Name somebody by address and number wherever one can; return what was asked for."""
    later = {"start_at": "2030-01-31T07:00:00.000Z", "every": "month"}
    orders: list[tuple[str, dict[str, Any]]] = []
    for to in ({"email": email}, {"phone": phone}):
        orders += [
            ("/v1/wallet/transfer", order(**to)),
            ("/v1/transfers", order(**to)),
            ("/v1/holds", order(**to)),
            ("/v1/schedules", order(**to) | later),
            ("/v1/payment-requests", {"amount": 10, "currency": "USD", "from": to}),
        ]
    for path, body in orders:
        answer = await person.post(path, body)
        assert answer.status_code == 201, (path, answer.text)
    # Nobody has these: they must not stay in an answer kept for retries, either.
    strangers = {"email": "nobody-at-all@example.com", "phone": "+12025550999"}
    taken = strangers | {"email": email, "name": "Impostor", "password": PASSWORD}
    for body in (taken, strangers | {"email": email, "password": PASSWORD}):
        path = "/v1/register" if "name" in body else "/v1/login"
        await person.client.post(path, json=body, headers={"Idempotency-Key": "impostor"})
    return [body for _, body in orders]


async def test_t30_a_dump_contains_none_of_1000_seeded_secrets(
    sealed: Running, new_database: Database
) -> None:
    people = await seed(sealed)
    person = await sealed.person()
    await fund(sealed, person, 1_000)
    _, email, phone = people[0]
    await live(person, email, phone)
    text = await dump(new_database)
    hidden = {value for _, *values in people for value in values}
    assert len(hidden) == 2 * PEOPLE
    state = sealed.app.state
    hidden |= {person.user["email"], "nobody-at-all@example.com", "+12025550999"}
    hidden |= {PASSWORD, ENCRYPTION_KEY, person.token}
    # It is a dump of everything: names are not sealed, because whoever pays somebody sees them.
    assert all(name in text for name, _, _ in people)
    assert text.count("v1.") >= 2 * PEOPLE
    assert secrets_in(text, hidden) == []
    assert secrets_in(f"so that it is seen: {phone}", hidden) == [phone]
    user = await state.identity.find_by_phone(phone)
    assert state.identity.record_of(user).email == email


async def test_t30_a_guessed_address_is_not_confirmed_by_a_stored_fingerprint(
    sealed: Running, new_database: Database
) -> None:
    """Ten thousand million numbers are tried in a moment: an unkeyed hash would tell who was paid.

    Found so: the fingerprint of a request was SHA-256 of its body, address and all.
    """
    person, other = await sealed.person(), await sealed.person()
    await fund(sealed, person, 1_000)
    email = other.user["email"]
    assert (await person.post("/v1/wallet/transfer", order(email=email))).status_code == 201
    text = await dump(new_database)
    body = TransferBody.model_validate(order(email=email)).model_dump()
    real = sealed.app.state.fingerprint_key
    assert request_fingerprint(real, "POST", "/wallet/transfer", body).hex() in text
    raw = b"POST /wallet/transfer\n" + msgspec.json.encode(body, order="sorted")
    assert hashlib.sha256(raw).hexdigest() not in text
    assert request_fingerprint(b"", "POST", "/wallet/transfer", body).hex() not in text


async def test_t30_swapped_ciphertexts_fail(sealed: Running) -> None:
    state = sealed.app.state
    one, other = await sealed.person(), await sealed.person()
    users = state.storage.documents(User)
    thief = await users.get(one.user["id"])
    victim = await users.get(other.user["id"])
    await users.replace(replace(thief, email=victim.email))
    answer = await one.get("/v1/users/me")
    # Of our own faults nobody is told which: the log has the name.
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert other.user["email"] not in answer.text
    await users.replace(replace(victim, phone=victim.email))
    assert (await other.get("/v1/users/me")).status_code == 500


async def test_t30_swapped_registration_answers_fail(sealed: Running) -> None:
    state = sealed.app.state
    one, other = application(), application()
    for key, wanted in (("one", one), ("other", other)):
        await state.identity.register(wanted, idempotency_key=key)
    answers = state.storage.documents(RegistrationAnswer)
    first, second = await answers.page({}, limit=2)
    await answers.replace(replace(first, answer=second.answer))
    await answers.replace(replace(second, answer=first.answer))
    for key, wanted in (("one", one), ("other", other)):
        with pytest.raises(SealBroken):
            await state.identity.register(wanted, idempotency_key=key)
