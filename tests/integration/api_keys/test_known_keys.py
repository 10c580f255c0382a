"""What a process knows of keys, and how soon it learns of changes elsewhere."""

import secrets
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from guilder.api_keys import known_keys
from guilder.api_keys.known_keys import KnownKeys
from guilder.api_keys.models import MODELS, ApiKey, ApiKeySecret
from guilder.api_keys.rules import Mode, key_digest, write_key
from guilder.identity.roles import Permission
from guilder.kernel.errors import Unavailable
from guilder.storage.base import Storage
from tests.support.api_keys import budget, stored_key
from tests.support.identity import HandClock
from tests.support.people import people_on


@dataclass
class Table:
    storage: Storage
    clock: HandClock
    key: ApiKey
    text: str

    def process(self, **more: float) -> KnownKeys:
        return KnownKeys(self.storage, clock=self.clock, **more)

    async def change(self, **changes: object) -> None:
        """Change the key as another process does."""
        self.key = await self.storage.documents(ApiKey).replace(
            replace(self.key, updated_at=self.clock(), **changes)
        )


@pytest.fixture
async def table(storage: Storage) -> Table:
    await storage.migrate(MODELS)
    async with people_on(storage) as people:
        user = await people.person()
        text = write_key(Mode.TEST, secrets.token_bytes(32))
        now = people.clock()
        key = stored_key(
            now,
            user_id=user.user_id,
            wallet_id=user.wallet_id,
            limits=budget(("USD", "day", 5)),
            addresses=("203.0.113.0/24",),
        )
        await storage.documents(ApiKey).insert(key)
        secret = ApiKeySecret(id=key_digest(text), key_id=key.id, created_at=now, updated_at=now)
        await storage.documents(ApiKeySecret).insert(secret)
        return Table(storage, people.clock, key, text)


async def test_a_key_speaks_for_its_user_within_its_scopes(table: Table) -> None:
    known = await table.process().find(table.text)
    assert known is not None
    principal = known.principal
    assert (principal.user_id, principal.session_id) == (table.key.user_id, None)
    assert principal.api_key_id == table.key.id
    assert principal.may(Permission.WALLET_READ)
    assert not principal.may(Permission.TRANSFERS_WRITE)
    assert [each.maximum for each in principal.limits] == [5]
    other = write_key(Mode.TEST, secrets.token_bytes(32))
    assert await table.process().find(other) is None


async def test_a_known_key_is_not_read_again(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    known = table.process()
    first = await known.find(table.text)
    await table.change(name="Other")
    assert await known.find(table.text) is first
    monkeypatch.setattr(known_keys, "KNOWN_FOR_S", -1)
    again = await known.find(table.text)
    assert again is not None
    assert again.key.name == "Other"


async def test_a_change_elsewhere_is_seen_at_the_next_look(table: Table) -> None:
    known = table.process()
    await known.look()
    assert await known.find(table.text)
    await table.change(is_revoked=True)
    await known.look()
    assert await known.find(table.text) is None
    assert len(known) == 0


async def test_who_read_a_key_late_forgets_it_at_the_look_after(table: Table) -> None:
    known = table.process()
    old = table.key
    await table.change(name="Other")
    await known.look()
    # As if reading had begun before the change and ended after the look.
    late = await known.find(table.text)
    assert late is not None
    known._by_digest[key_digest(table.text)] = replace(late, key=old)
    await known.look()
    again = await known.find(table.text)
    assert again is not None
    assert again.key.name == "Other"


async def test_a_key_ends_when_it_expires(table: Table) -> None:
    await table.change(expires_at=table.clock.now.replace(hour=13))
    known = table.process()
    assert await known.find(table.text)
    table.clock.move(hours=1)
    assert await known.find(table.text) is None


async def test_a_process_that_cannot_look_lets_no_key_in(table: Table) -> None:
    known = table.process(poll_s=3600.0, stale_s=-1.0)
    assert await known.find(table.text)
    await known.start()
    try:
        with pytest.raises(Unavailable):
            await known.find(table.text)
    finally:
        await known.stop()


async def test_only_so_many_are_remembered(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_keys, "KNOWN_MAX", 2)
    now, known = table.clock(), table.process()
    for _ in range(4):
        text = write_key(Mode.TEST, secrets.token_bytes(32))
        secret = ApiKeySecret(
            id=key_digest(text), key_id=table.key.id, created_at=now, updated_at=now
        )
        await table.storage.documents(ApiKeySecret).insert(secret)
        assert await known.find(text)
    assert len(known) == 2
