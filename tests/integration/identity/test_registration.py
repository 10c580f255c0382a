"""Registering against a real database: one user per address, and nobody learns which are taken."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from guilder.identity import models
from guilder.identity.models import MODELS, RegistrationAnswer, User
from guilder.identity.service import IdentityService
from guilder.kernel.errors import InvalidRequest, Unavailable
from guilder.kernel.ids import UserId
from guilder.ledger.errors import IdempotencyKeyReused
from guilder.storage.base import Document, Storage, Transaction
from guilder.storage.errors import DuplicateDocument
from guilder.vault.vault import Vault
from tests.support.identity import PASSWORD, HandClock, application, identity_service
from tests.support.insisting import insist


class Opened(Document, frozen=True, kw_only=True):
    """What a hook writes, standing for a wallet."""

    collection = "tests_opened"
    unique = (("user_id",),)

    user_id: str


async def open_one(transaction: Transaction, user: User) -> None:
    """Write one document for a new user."""
    document = Opened(
        id=user.wallet_id,
        user_id=user.id,
        created_at=user.created_at,
        updated_at=user.created_at,
    )
    await transaction.documents(Opened).insert(document)


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    await storage.migrate([Opened])
    async with identity_service(storage, clock, on_registered=[open_one]) as service:
        yield service


async def users(storage: Storage) -> list[User]:
    return await storage.documents(User).page({}, limit=1000)


async def opened(storage: Storage) -> list[Opened]:
    return await storage.documents(Opened).page({}, limit=1000)


async def test_a_new_user_is_stored_with_what_the_hooks_write(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    applied = application(email="Payer@Example.com", phone="+1 202 555 0123", name=" First  Payer")
    record = (await identity.register(applied)).record
    assert (record.name, record.email, record.phone) == (
        "First Payer",
        "Payer@example.com",
        "+12025550123",
    )
    assert record.created_at == record.updated_at == clock()
    user = await identity.get_user(record.id)
    assert user
    assert identity.record_of(user) == record
    assert PASSWORD not in repr(user)
    assert [each.id for each in await opened(storage)] == [record.wallet_id]


async def test_found_by_address_and_number_in_any_spelling(identity: IdentityService) -> None:
    applied = application(email="Finder@example.com", phone="+12025550124")
    record = (await identity.register(applied)).record
    for found in (
        await identity.find_by_email("FINDER@EXAMPLE.COM"),
        await identity.find_by_phone("+1 (202) 555-0124"),
    ):
        assert found
        assert found.id == record.id
    assert await identity.find_by_email("nobody@example.com") is None
    assert await identity.find_by_email("no address") is None
    assert await identity.find_by_phone("+12025550199") is None
    assert await identity.find_by_phone("no number") is None


async def test_names_of_those_who_exist(identity: IdentityService) -> None:
    first = (await identity.register(application(name="First"))).record
    second = (await identity.register(application(name="Second"))).record
    names = await identity.names_of([first.id, second.id, UserId("user_0")])
    assert names == {first.id: "First", second.id: "Second"}
    assert await identity.names_of([]) == {}


async def test_names_are_found_without_opening_a_seal(
    identity: IdentityService, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = (await identity.register(application(name="Payee"))).record
    monkeypatch.delattr(Vault, "open")
    assert await identity.names_of([record.id]) == {record.id: "Payee"}


async def test_wrong_fields_are_named_all_at_once(
    identity: IdentityService, storage: Storage
) -> None:
    wrong = application(name="\x00", email="no address", phone="12", password="password")
    with pytest.raises(InvalidRequest) as caught:
        await identity.register(wrong)
    assert [(each.pointer, each.code) for each in caught.value.fields] == [
        ("/name", "name_invalid"),
        ("/email", "email_invalid"),
        ("/phone", "phone_invalid"),
        ("/password", "password_leaked"),
    ]
    assert await users(storage) == []


@pytest.mark.parametrize("taken", ["email", "phone", "both", "all there is"])
async def test_a_taken_address_is_answered_like_a_free_one(
    identity: IdentityService, storage: Storage, clock: HandClock, taken: str
) -> None:
    owner = application(email="owner@example.com", phone="+12025550123")
    first = (await identity.register(owner)).record
    clock.move(days=3)
    second = application(
        email="OWNER@example.com" if taken != "phone" else "other@example.com",
        phone={"email": "+12025550124", "all there is": None}.get(taken, "+12025550123"),
        password="seven other unlikely words",
        name="Someone Else",
    )
    record = (await identity.register(second)).record
    assert {record.id, record.wallet_id}.isdisjoint({first.id, first.wallet_id})
    assert (record.name, record.email, record.phone) == (second.name, second.email, second.phone)
    assert record.created_at == record.updated_at == clock()
    assert record.id.startswith("user_")
    assert record.wallet_id.startswith("wallet_")
    # Whoever is reached by one of the two is stored; the other one finds its owner.
    made = [record.id] if taken in ("email", "phone") else []
    assert {each.id for each in await users(storage)} == {first.id, *made}
    assert len(await opened(storage)) == 1 + len(made)
    for found in (
        await identity.find_by_email("owner@example.com"),
        await identity.find_by_phone("+12025550123"),
    ):
        assert found
        assert found.id == first.id


async def test_the_owner_who_registers_again_is_answered_like_anybody(
    identity: IdentityService, storage: Storage
) -> None:
    # With the record that is there, the second answer would tell that the first one was true.
    first = (await identity.register(application(email="owner@example.com"))).record
    again = (await identity.register(application(email="owner@example.com"))).record
    assert again.id != first.id
    assert [each.id for each in await users(storage)] == [first.id]


async def test_the_owner_s_password_opens_nothing_through_the_number_alone(
    identity: IdentityService,
) -> None:
    first = (await identity.register(application(phone="+12025550123"))).record
    other = (await identity.register(application(phone="+12025550123"))).record
    assert other.id != first.id
    found = await identity.find_by_phone("+12025550123")
    assert found
    assert found.id == first.id


@pytest.mark.parametrize("is_taken", [False, True])
async def test_the_same_key_and_request_get_the_same_answer(
    identity: IdentityService, storage: Storage, clock: HandClock, is_taken: bool
) -> None:
    if is_taken:
        await identity.register(application(email="owner@example.com"))
    applied = application(email="owner@example.com", password="seven other unlikely words")
    first = await identity.register(applied, idempotency_key="key 1")
    count = len(await users(storage))
    clock.move(hours=24)
    again = await identity.register(applied, idempotency_key="key 1")
    assert (first.is_replayed, again.is_replayed) == (False, True)
    assert again.record == first.record
    assert len(await users(storage)) == count == 1


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Another"},
        {"email": "OWNER@example.com"},
        {"phone": "+12025550123"},
        {"password": "seven other unlikely words"},
    ],
    ids=str,
)
async def test_the_same_key_for_another_request(
    identity: IdentityService, storage: Storage, change: dict[str, str]
) -> None:
    values = {"email": "owner@example.com", "name": "Owner"}
    await identity.register(application(**values), idempotency_key="key")
    with pytest.raises(IdempotencyKeyReused):
        await identity.register(application(**values | change), idempotency_key="key")
    assert len(await users(storage)) == 1


async def test_another_key_is_another_request(identity: IdentityService) -> None:
    first = await identity.register(application(), idempotency_key="one")
    second = await identity.register(application(), idempotency_key="two")
    assert first.record.id != second.record.id


async def test_stored_answers_hold_no_secret(identity: IdentityService, storage: Storage) -> None:
    record = (await identity.register(application(), idempotency_key="key")).record
    user = await identity.get_user(record.id)
    answers = await storage.documents(RegistrationAnswer).page({}, limit=10)
    assert user
    assert len(answers) == 1
    assert PASSWORD not in repr(answers)
    assert user.password_hash not in repr(answers)


async def test_sixty_four_at_once_make_one_user(
    identity: IdentityService, storage: Storage
) -> None:
    people = [
        application(
            email=("Race@example.com", "race@EXAMPLE.com")[number % 2],
            phone="+12025550123",
            password=f"four unlikely words {number % 8}",
        )
        for number in range(64)
    ]
    answers = await asyncio.gather(*(insist(partial(identity.register, each)) for each in people))
    stored = await users(storage)
    assert len(stored) == 1
    winners = {each.record.id for each in answers} & {stored[0].id}
    assert winners == {stored[0].id}
    assert len(await opened(storage)) == 1


async def test_one_number_under_many_addresses_at_once(
    identity: IdentityService, storage: Storage
) -> None:
    people = [application(phone="+12025550123") for _ in range(64)]
    answers = await asyncio.gather(*(insist(partial(identity.register, each)) for each in people))
    stored = await users(storage)
    assert {each.id for each in stored} == {each.record.id for each in answers}
    assert len(stored) == len(await opened(storage)) == 64
    assert [each.phone_key is None for each in stored].count(False) == 1
    assert {identity.record_of(each).phone for each in stored} == {"+12025550123"}


async def test_one_key_sixty_four_times_at_once(
    identity: IdentityService, storage: Storage
) -> None:
    applied = application()
    answers = await asyncio.gather(
        *(insist(partial(identity.register, applied, idempotency_key="key")) for _ in range(64))
    )
    assert {each.record for each in answers} == {answers[0].record}
    assert [each.is_replayed for each in answers].count(False) == 1
    assert len(await users(storage)) == 1


async def test_a_hook_that_fails_leaves_nothing_behind(storage: Storage, clock: HandClock) -> None:
    async def fail(_transaction: Transaction, _user: User) -> None:
        raise RuntimeError("planted")

    async with identity_service(storage, clock, on_registered=[fail]) as service:
        with pytest.raises(RuntimeError):
            await service.register(application(), idempotency_key="key")
    assert await users(storage) == []
    assert await storage.documents(RegistrationAnswer).page({}, limit=10) == []


async def test_a_conflict_that_never_ends_is_no_server_error(
    storage: Storage, clock: HandClock
) -> None:
    async def conflict(_transaction: Transaction, _user: User) -> None:
        raise DuplicateDocument("id")

    async with identity_service(storage, clock, on_registered=[conflict]) as service:
        with pytest.raises(Unavailable):
            await service.register(application())


async def test_models_are_complete() -> None:
    declared = [each for each in vars(models).values() if isinstance(each, type)]
    stored = {each for each in declared if issubclass(each, Document) and each is not Document}
    assert set(MODELS) == stored
