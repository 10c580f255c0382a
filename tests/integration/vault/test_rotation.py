"""`guilder keys rotate`: everything ends up under the new key, whoever writes meanwhile."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from guilder.cli import main
from guilder.cli.exit_codes import ExitCode
from guilder.identity.addresses import Addresses
from guilder.identity.models import RegistrationAnswer, User
from guilder.identity.service import IdentityService
from guilder.storage import open_storage
from guilder.storage.base import Storage
from guilder.storage.errors import StorageUnavailable, VersionConflict
from guilder.vault.errors import SealBroken
from guilder.vault.rotation import Rotated, rotate
from guilder.vault.vault import Vault, VaultKey, derived_key
from tests.support.databases import Database
from tests.support.identity import (
    INDEX_SECRET,
    PASSWORD,
    STORED,
    VAULT_SECRET,
    HandClock,
    application,
    quick_config,
)

OLD, NEW = VaultKey(VAULT_SECRET), VaultKey(VAULT_SECRET[::-1])
before = Vault([OLD], index_secret=INDEX_SECRET)
during = Vault([NEW, OLD], index_secret=INDEX_SECRET)
after = Vault([NEW], index_secret=INDEX_SECRET)


def service(storage: Storage, vault: Vault) -> IdentityService:
    return IdentityService(storage=storage, clock=HandClock(), config=quick_config(), vault=vault)


async def seed(storage: Storage, count: int) -> list[str]:
    """Register people under the old key; return their addresses."""
    await storage.migrate(STORED)
    identity = service(storage, before)
    people = [application(phone=f"+1202555{1000 + number}") for number in range(count)]
    await asyncio.gather(*[identity.register(each) for each in people])
    await identity.stop()
    return [each.email for each in people]


def users_of(found: list[Rotated]) -> Rotated:
    (users,) = [each for each in found if each.collection == "users"]
    return users


async def can_sign_in(storage: Storage, emails: list[str]) -> None:
    """Everybody signs in and sees the own address, though the old key is gone."""
    identity = service(storage, after)
    for email in emails:
        signed_in = await identity.login(email=email, password=PASSWORD)
        assert signed_in.user.email == email
        assert signed_in.user.phone
    await identity.stop()


async def test_everything_is_under_the_new_key_afterwards(storage: Storage) -> None:
    emails = await seed(storage, 5)
    users = {each.id: each for each in await storage.documents(User).page({})}
    checked = await rotate(storage, during, STORED, is_check=True)
    assert users_of(checked) == Rotated("users", outdated=10)
    assert {each.id: each for each in await storage.documents(User).page({})} == users
    done = await rotate(storage, during, STORED)
    assert {each.collection: each.rewrapped for each in done if each.rewrapped} == {
        "users": 10,
        "registration_answers": 5,
        "messages": 10,
    }
    assert all(each.is_done for each in done)
    again = await rotate(storage, during, STORED)
    assert users_of(again) == Rotated("users", current=10)
    for user in await storage.documents(User).page({}):
        earlier = users[user.id]
        assert user == replace(earlier, email=user.email, phone=user.phone, version=2)
        assert user.email is not None
        assert earlier.email is not None
        assert user.email.split(".")[3] == earlier.email.split(".")[3]
    await can_sign_in(storage, emails)


async def test_t30_key_rotated_during_sign_ins_and_registrations_with_0_failures(
    new_database: Database,
) -> None:
    """Two servers with both keys, two rotations at once; whoever fails, fails the test."""
    url, owner_url = new_database.url, new_database.owner_url
    stores = [await open_storage(url, owner_url=owner_url) for _ in range(2)]
    emails = await seed(stores[0], 60)
    servers = [service(each, during) for each in stores]
    is_busy, is_over = asyncio.Event(), asyncio.Event()
    signed_in = 0

    async def live(number: int) -> None:
        nonlocal signed_in
        server = servers[number % 2]
        while not is_over.is_set():
            mine = application(phone=f"+1202555{number}{len(emails) % 1000:03}")
            await server.register(mine, idempotency_key=f"{number} {len(emails)}")
            emails.append(mine.email)
            for email in (mine.email, emails[signed_in % 60]):
                found = await server.login(email=email, password=PASSWORD)
                assert found.user.email == email
                signed_in += 1
            is_busy.set()

    async def change_key() -> None:
        await is_busy.wait()
        rotations = [rotate(each, during, STORED) for each in stores]
        results = await asyncio.gather(*rotations)
        is_over.set()
        assert all(each.is_done for found in results for each in found)
        assert sum(users_of(found).rewrapped for found in results) >= 60

    await asyncio.gather(change_key(), *[live(number) for number in range(2, 6)])
    checked = await rotate(stores[1], after, STORED, is_check=True)
    assert all(each.is_done and not each.rewrapped for each in checked)
    identity = service(stores[0], after)
    for email in emails:
        user = await identity.find_by_email(email)
        assert user
        assert identity.record_of(user).email == email
    for server in (*servers, identity):
        await server.stop()
    for each in stores:
        await each.close()


class Disturbed:
    """A storage whose documents somebody touches just before each of the first writes."""

    def __init__(self, storage: Storage, *, disturb: Any, times: int) -> None:
        self._storage = storage
        self._disturb = disturb
        self._times = times

    def documents(self, model: Any) -> "Disturbed":
        self._documents = self._storage.documents(model)
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._documents, name)

    async def replace(self, document: Any) -> Any:
        if self._times:
            self._times -= 1
            await self._disturb(self._documents, document)
        return await self._documents.replace(document)


async def test_a_conflicting_writer_wins_and_is_looked_at_again(storage: Storage) -> None:
    await seed(storage, 1)

    async def rename(documents: Any, document: User) -> None:
        stored = await documents.get(document.id)
        moved = Addresses(before).with_email(stored, f"moved-{stored.version}@example.com")
        await documents.replace(replace(moved, name="Renamed"))

    disturbed: Any = Disturbed(storage, disturb=rename, times=3)
    assert users_of(await rotate(disturbed, during, [User])) == Rotated("users", rewrapped=2)
    (user,) = await storage.documents(User).page({})
    assert (user.name, user.version) == ("Renamed", 5)
    assert Addresses(after).email_of(user) == "moved-3@example.com"


async def test_a_document_that_never_rests_is_reported(storage: Storage) -> None:
    await seed(storage, 1)

    async def touch(documents: Any, document: User) -> None:
        await documents.replace(await documents.get(document.id))

    disturbed: Any = Disturbed(storage, disturb=touch, times=-1)
    found = users_of(await rotate(disturbed, during, [User]))
    assert found == Rotated("users", outdated=2)
    assert not found.is_done


async def test_a_document_that_goes_away_is_no_trouble(storage: Storage) -> None:
    await seed(storage, 1)

    async def remove(documents: Any, document: User) -> None:
        await documents.delete(document.id)

    disturbed: Any = Disturbed(storage, disturb=remove, times=1)
    assert users_of(await rotate(disturbed, during, [User])) == Rotated("users")


async def test_stopped_anywhere_it_goes_on_with_what_is_left(storage: Storage) -> None:
    emails = await seed(storage, 12)
    calls = 0

    async def cut(_documents: Any, _document: User) -> None:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise StorageUnavailable

    disturbed: Any = Disturbed(storage, disturb=cut, times=-1)
    with pytest.raises(StorageUnavailable):
        await rotate(disturbed, during, [User])
    rest = users_of(await rotate(storage, during, [User]))
    assert rest.current >= 10
    assert (rest.current + rest.rewrapped, rest.is_done) == (24, True)
    await can_sign_in(storage, emails)


async def test_a_broken_value_is_reported_and_the_rest_is_done(storage: Storage) -> None:
    emails = await seed(storage, 3)
    users = storage.documents(User)
    victim, other, _ = await users.page({})
    await users.replace(replace(victim, email=other.email))
    found = users_of(await rotate(storage, during, [User]))
    assert (found.rewrapped, found.broken, found.is_done) == (5, 1, False)
    stored = await users.get(victim.id)
    assert stored
    assert stored.email == other.email
    with pytest.raises(SealBroken):
        Addresses(during).email_of(stored)
    assert len(emails) == 3


async def test_a_conflict_is_what_the_door_says_it_is(storage: Storage) -> None:
    """The walk relies on this: a write under a version that is gone changes nothing."""
    await seed(storage, 1)
    users = storage.documents(User)
    (user,) = await users.page({})
    await users.replace(user)
    with pytest.raises(VersionConflict):
        await users.replace(replace(user, name="Late"))


class TestCommand:
    """The command line."""

    PEPPER = "Yb1xQv7Zk3Lm9Rt5Wc2Nd8Hs4Jf6Gp0UaEoIi"
    OWN = "Pq8Wz5Xn2Vb7Mc4Lk9Jh1Gf6Ds3Aq0RtYuOe"

    @pytest.fixture
    async def environment(
        self, new_database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> pytest.MonkeyPatch:
        """A database with two people, sealed under the pepper."""
        monkeypatch.setenv("GUILDER_DATA_DIRECTORY", str(tmp_path))
        monkeypatch.setenv("GUILDER_DATABASE_URL", new_database.url)
        monkeypatch.setenv("GUILDER_DATABASE_OWNER_URL", new_database.owner_url)
        monkeypatch.setenv("GUILDER_SIGNING_KEY", self.OWN[::-1])
        monkeypatch.setenv("GUILDER_PEPPER", self.PEPPER)
        await asyncio.to_thread(self.run, "migrate")
        storage = await open_storage(new_database.url, owner_url=new_database.owner_url)
        pepper = self.PEPPER.encode()
        vault = Vault([VaultKey(pepper)], index_secret=derived_key(pepper, "vault-index"))
        identity = service(storage, vault)
        for _ in range(2):
            await identity.register(application())
        await identity.stop()
        await storage.close()
        return monkeypatch

    @staticmethod
    def run(*words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(words)
        return int(ended.value.code or 0)

    async def test_from_the_pepper_to_a_key_of_its_own(
        self, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def said(*words: str) -> tuple[int, str]:
            code = await asyncio.to_thread(self.run, "keys", "rotate", *words)
            return code, capsys.readouterr().out

        code, text = await said("--check")
        assert code == ExitCode.DONE
        assert "users: 2 current, 0 sealed anew, 0 under another key, 0 broken" in text
        assert "no other is needed" in text
        environment.setenv("GUILDER_ENCRYPTION_KEY", self.OWN)
        code, text = await said("--check")
        assert (code, "users: 0 current" in text) == (ExitCode.WRONG, True)
        assert "run `guilder keys rotate`" in text
        code, text = await said("--json")
        assert code == ExitCode.DONE
        (users,) = [each for each in json.loads(text) if each["collection"] == "users"]
        assert users["rewrapped"] == 2
        code, text = await said("--check")
        assert (code, "users: 2 current" in text) == (ExitCode.DONE, True)
        environment.setenv("GUILDER_ENCRYPTION_KEY", self.OWN[::-1])
        code, text = await said()
        assert (code, "2 broken" in text) == (ExitCode.WRONG, True)
        assert "a key is missing" in text
        environment.setenv("GUILDER_ENCRYPTION_KEY_PREVIOUS", self.OWN)
        code, text = await said()
        assert (code, "2 sealed anew" in text) == (ExitCode.DONE, True)


def test_the_answers_kept_for_retries_are_sealed_too() -> None:
    assert RegistrationAnswer.sealed == ("answer",)
