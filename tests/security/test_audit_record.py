"""The audit record: append-only, chained, anchored outside. ASVS 13.2.2, 16.3.1, 16.4.2, 16.5.3;
T31.
"""

import random

import asyncpg
import pytest
from msgspec.structs import replace

from guilder.audit.models import (
    MODELS,
    AuditEvent,
)
from guilder.audit.verify import Noted, noted_head, verify
from guilder.identity.errors import InvalidCredentials, RefreshTokenReused
from guilder.identity.models import Session
from guilder.kernel.clock import utc_now
from guilder.storage import open_storage
from guilder.storage.base import Storage
from guilder.storage.errors import StorageUnavailable
from guilder.storage.postgres.storage import PostgresStorage
from tests.support.audit import OTHER, USER, Record, everything, fill, owner_storage, seal_all
from tests.support.audit_tampers import SEALED, SEEN_INSIDE, SEEN_OUTSIDE, WAITING, Stored
from tests.support.databases import Database
from tests.support.identity import PASSWORD, HandClock, application, identity_service
from tests.support.postgres_books import owner_of
from tests.support.tampering import is_mongodb, mongo_database

TAMPERS = 200


async def test_t31_200_random_tampers_of_the_audit_record_are_found(
    new_database: Database,
) -> None:
    """Whoever owns the database changes it; every change is found, rewrites by the noted head."""
    dice = random.Random(31)
    async with owner_storage(new_database) as owner:
        await owner.migrate(MODELS)
        await fill(owner, SEALED)
        await seal_all(owner)
        noted = await noted_head(owner, now=utc_now())
        await fill(owner, WAITING)
        record = Record(owner)
        await record.read()
        untouched = record.now
        tampers = (*SEEN_INSIDE, *SEEN_OUTSIDE)
        for number in range(TAMPERS):
            tamper = tampers[number % len(tampers)]
            stored = Stored(untouched, dice)
            tamper(stored)
            await record.write(stored.documents)
            report = await verify(owner, noted=noted)
            assert report.difference is not None, (number, tamper.__name__)
            # What is only seen from outside must really be a chain without a fault.
            assert (await verify(owner)).ok == (tamper in SEEN_OUTSIDE), (number, tamper.__name__)
            await record.write(untouched)
        report = await verify(owner, noted=noted)
        assert (report.ok, report.position, report.waiting) == (True, SEALED, WAITING)


async def test_a_noted_head_stays_part_of_a_record_that_grows(new_database: Database) -> None:
    async with owner_storage(new_database) as owner:
        await owner.migrate(MODELS)
        noted = [await noted_head(owner, now=utc_now())]
        for count in (1, 3, 2):
            await fill(owner, count)
            await seal_all(owner)
            noted.append(await noted_head(owner, now=utc_now()))
        assert [each.position for each in noted] == [0, 1, 4, 6]
        for each in noted:
            report = await verify(owner, noted=each)
            assert report.ok, report.difference
        wrong = Noted(position=0, hash="1" * 64, time=noted[0].time)
        assert not (await verify(owner, noted=wrong)).ok


async def test_the_first_wrong_position_is_told(new_database: Database) -> None:
    async with owner_storage(new_database) as owner:
        await owner.migrate(MODELS)
        await fill(owner, 9)
        await seal_all(owner)
        record = Record(owner)
        await record.read()
        stored = Stored(record.now, random.Random(1))
        for at in (7, 4):
            event = stored.events[stored.order[at - 1]]
            stored.events[event.id] = replace(event, actor=OTHER)
        await record.write(stored.documents)
        report = await verify(owner)
        assert report.difference is not None
        assert report.difference.position == 4
        assert report.position == 3


async def test_what_is_no_event_any_more_is_a_difference_too(new_database: Database) -> None:
    async with owner_storage(new_database) as owner:
        await owner.migrate(MODELS)
        await fill(owner, 3)
        await seal_all(owner)
    if is_mongodb(new_database):
        async with mongo_database(new_database) as found:
            await found["documents.audit_events"].update_many({}, {"$unset": {"actor": ""}})
    else:
        async with owner_of(new_database) as owner_connection:
            await owner_connection.execute(
                "UPDATE documents.audit_events SET body = body - 'actor'"
            )
    async with owner_storage(new_database) as owner:
        report = await verify(owner)
    assert report.difference is not None
    assert report.difference.position == 1


@pytest.mark.parametrize("table", ["audit_events", "audit_seals"])
async def test_asvs_13_2_2_the_application_role_cannot_alter_the_audit_record(
    new_postgresql_storage: PostgresStorage, table: str
) -> None:
    await new_postgresql_storage.migrate(MODELS)
    await fill(new_postgresql_storage, 2)
    await seal_all(new_postgresql_storage)
    async with new_postgresql_storage.engine.acquire() as connection:
        for statement in (
            f"UPDATE documents.{table} SET version = version",
            f"DELETE FROM documents.{table}",
            f"TRUNCATE documents.{table}",
            f"ALTER TABLE documents.{table} ADD COLUMN more text",
            f"DROP TABLE documents.{table}",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        assert await connection.fetchval(f"SELECT count(*) FROM documents.{table}") == 2
    assert (await verify(new_postgresql_storage)).ok


async def test_asvs_13_2_2_a_new_start_gives_the_role_no_more(database: Database) -> None:
    """Whatever was granted by hand is taken back by the next migration."""
    for _ in range(2):
        storage = await open_storage(database.url, owner_url=database.owner_url)
        assert isinstance(storage, PostgresStorage)
        await storage.migrate(MODELS)
        async with storage.engine.acquire() as connection:
            role = await connection.fetchval("SELECT current_user")
            may = await connection.fetchval(
                "SELECT has_table_privilege('documents.audit_events', 'UPDATE, DELETE')"
            )
        assert may is False
        await storage.close()
        async with owner_of(database) as owner:
            await owner.execute(f'GRANT ALL ON documents.audit_events TO "{role}"')


async def test_asvs_16_4_2_an_event_holds_no_address_and_no_personal_data(
    new_database: Database,
) -> None:
    """What is kept for ever is searched, as it is stored, for what was told."""
    async with owner_storage(new_database) as owner:
        await owner.migrate(MODELS)
        await fill(owner, 1)
        (event,) = await owner.documents(AuditEvent).page({})
    assert "192.0.2.7" not in repr(event)
    assert event.address is not None
    assert (event.actor, event.subject) == (USER, USER)


async def test_asvs_16_3_1_every_sign_in_and_every_refusal_is_recorded(storage: Storage) -> None:
    clock = HandClock()
    async with identity_service(storage, clock) as identity:
        somebody = application()
        user = (await identity.register(somebody)).record
        await identity.register(application(email=somebody.email, password=PASSWORD[::-1]))
        with pytest.raises(InvalidCredentials):
            await identity.login(email=somebody.email, password=PASSWORD[::-1])
        with pytest.raises(InvalidCredentials):
            await identity.login(email="nobody@example.com", password=PASSWORD)
        first = await identity.login(email=somebody.email, password=PASSWORD)
        second = await identity.login(email=somebody.email, password=PASSWORD)
        await identity.logout(first.refresh_token)
        await identity.refresh(second.refresh_token)
        clock.move(minutes=5)
        with pytest.raises(RefreshTokenReused):
            await identity.refresh(second.refresh_token)
    events = await everything(storage, AuditEvent)
    assert [(each.action, each.actor, each.subject, each.outcome) for each in events] == [
        ("user.registered", user.id, user.id, "done"),
        # Nobody has shown the address: whoever tries may have a copy of what concerns its account.
        ("user.registered", "unknown", "unknown", "refused"),
        ("sign_in.refused", "unknown", user.id, "refused"),
        ("sign_in.refused", "unknown", "unknown", "refused"),
        ("session.opened", user.id, user.id, "done"),
        ("session.opened", user.id, user.id, "done"),
        ("session.ended", user.id, user.id, "done"),
        ("refresh_token.reused", "unknown", user.id, "refused"),
    ]
    assert somebody.email not in repr(events)


async def test_asvs_16_5_3_a_sign_in_that_cannot_be_recorded_does_not_happen(
    storage: Storage,
) -> None:
    """Nobody gets in, nor learns whether the password was right, while the record is away."""

    async def away(*_: object, **__: object) -> None:
        raise StorageUnavailable

    async with identity_service(storage, HandClock()) as identity:
        somebody = application()
        await identity.register(somebody)
        audit = identity._audit
        audit.record = away  # type: ignore[method-assign]
        for password in (PASSWORD, PASSWORD[::-1]):
            with pytest.raises(StorageUnavailable):
                await identity.login(email=somebody.email, password=password)
    assert await everything(storage, Session) == []
