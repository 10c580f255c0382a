"""Recording an event, in the caller's transaction or alone, and finding it again."""

from datetime import timedelta

import pytest

from guilder.audit.models import MODELS, AuditEvent, AuditWaiting
from guilder.audit.trail import AddressKey, AuditTrail, Search
from guilder.kernel.errors import InvariantViolation, NotFound
from guilder.storage.base import Storage
from tests.support.audit import ADDRESS_KEY, OTHER, USER, everything, seal_all, trail_of
from tests.support.identity import HandClock


@pytest.fixture(autouse=True)
async def migrated(storage: Storage) -> None:
    await storage.migrate(MODELS)


async def test_an_event_is_stored_as_it_was_told(storage: Storage) -> None:
    clock = HandClock()
    trail = AuditTrail(storage, clock=clock, address_key=ADDRESS_KEY)
    await trail.record(
        "role.changed",
        actor=OTHER,
        subject=USER,
        outcome="refused",
        details={"role": "operator"},
        address="192.0.2.7",
    )
    (event,) = await everything(storage, AuditEvent)
    assert event == AuditEvent(
        id=event.id,
        action="role.changed",
        actor=OTHER,
        subject=USER,
        outcome="refused",
        details={"role": "operator"},
        address=ADDRESS_KEY.hidden("192.0.2.7"),
        created_at=clock.now,
        updated_at=clock.now,
    )
    assert [each.id for each in await everything(storage, AuditWaiting)] == [event.id]


async def test_asvs_2_3_3_an_event_is_stored_with_its_change_or_not_at_all(
    storage: Storage,
) -> None:
    trail = trail_of(storage)

    async def change_that_fails() -> None:
        async with storage.transaction() as transaction:
            await trail.record("factor.added", actor=USER, subject=USER, transaction=transaction)
            raise NotFound

    with pytest.raises(NotFound):
        await change_that_fails()
    assert await everything(storage, AuditEvent) == []
    assert await everything(storage, AuditWaiting) == []
    async with storage.transaction() as transaction:
        await trail.record("factor.added", actor=USER, subject=USER, transaction=transaction)
        assert await everything(storage, AuditEvent) == []
    assert len(await everything(storage, AuditEvent)) == 1
    assert len(await everything(storage, AuditWaiting)) == 1


async def test_what_may_be_personal_is_not_recorded(storage: Storage) -> None:
    with pytest.raises(InvariantViolation):
        await trail_of(storage).record(
            "sign_in.refused", actor="unknown", subject="payer@example.com"
        )
    assert await everything(storage, AuditEvent) == []


async def test_without_a_key_no_address_is_kept(storage: Storage) -> None:
    trail = AuditTrail(storage, clock=HandClock())
    await trail.record("session.opened", actor=USER, subject=USER, address="192.0.2.7")
    (event,) = await everything(storage, AuditEvent)
    assert event.address is None


def test_an_address_is_hidden_under_a_key() -> None:
    other = AddressKey(b"another secret for tests, of 32 bytes or more")
    hidden = ADDRESS_KEY.hidden("192.0.2.7")
    assert hidden == ADDRESS_KEY.hidden("192.0.2.7")
    assert len({hidden, ADDRESS_KEY.hidden("192.0.2.8"), other.hidden("192.0.2.7")}) == 3
    assert "192" not in repr(vars(ADDRESS_KEY))


async def test_events_are_found_by_whom_what_when_and_where(storage: Storage) -> None:
    clock = HandClock()
    trail = AuditTrail(storage, clock=clock, address_key=ADDRESS_KEY)
    for number in range(12):
        clock.move(hours=1)
        await trail.record(
            "session.opened" if number % 2 else "session.ended",
            actor=USER if number % 3 else OTHER,
            subject=USER,
            details={"number": str(number)},
            address=f"192.0.2.{number % 4}",
        )
    await trail.record("role.changed", actor=OTHER, subject=OTHER)
    start = clock.now

    async def found(**wanted: object) -> list[int]:
        entries = await trail.search(Search(**wanted))  # type: ignore[arg-type]
        return [int(each.event.details["number"]) for each in entries]

    assert await found(subject=USER) == list(range(11, -1, -1))
    assert await found(subject=USER, actor=OTHER) == [9, 6, 3, 0]
    assert await found(action="session.ended", actor=OTHER) == [6, 0]
    assert await found(subject=USER, since=start - timedelta(hours=2)) == [11, 10, 9]
    assert await found(address="192.0.2.1") == [9, 5, 1]
    assert await found(action="session.renamed") == []
    newest = await trail.search(Search(), limit=2)
    assert {each.event.subject for each in newest} == {USER, OTHER}


async def test_pages_hold_every_event_once_and_tell_its_position(storage: Storage) -> None:
    trail = AuditTrail(storage, clock=HandClock())
    for number in range(7):
        await trail.record(
            "session.opened", actor=USER, subject=USER, details={"number": str(number)}
        )
    await seal_all(storage)
    await trail.record("session.opened", actor=USER, subject=USER, details={"number": "7"})
    first = await trail.search(Search(subject=USER), limit=5)
    second = await trail.search(Search(subject=USER), after=first[-1].event, limit=5)
    numbers = [int(each.event.details["number"]) for each in first + second]
    assert numbers == list(range(7, -1, -1))
    assert [each.position for each in first + second] == [None, 7, 6, 5, 4, 3, 2, 1]


async def test_a_search_reads_on_until_it_has_enough(storage: Storage) -> None:
    """More events than one page lie between the ones that are wanted."""
    trail = AuditTrail(storage, clock=HandClock(), address_key=ADDRESS_KEY)
    async with storage.transaction() as transaction:
        for number in range(420):
            await trail.record(
                "session.opened",
                actor=USER,
                subject=USER,
                address="192.0.2.9" if number in (3, 410) else "192.0.2.1",
                transaction=transaction,
            )
    found = await trail.search(Search(subject=USER, address="192.0.2.9"), limit=2)
    assert len(found) == 2
