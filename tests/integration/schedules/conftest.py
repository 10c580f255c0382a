from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from guilder.identity.models import User
from guilder.ledger.verify import verify
from guilder.schedules.models import MODELS, Occurrence, Schedule
from guilder.schedules.service import ScheduleService
from guilder.storage.base import Range, Storage
from tests.support.databases import Server
from tests.support.http import Running
from tests.support.late_money import guilder_on
from tests.support.people import People, people_on


@dataclass
class Table:
    """Two people, the sender with 100, and the service between them."""

    people: People
    service: ScheduleService
    sender: User
    recipient: User

    def other_process(self) -> ScheduleService:
        """Return the service of another process on the same database."""
        people = self.people
        return ScheduleService(
            people.storage, people.journal, wallets=people.wallets, clock=people.clock
        )

    async def stored(self, schedule: Schedule) -> Schedule:
        """Return a schedule as it is stored."""
        found = await self.people.storage.documents(Schedule).get(schedule.id)
        assert found is not None
        return found

    async def done(self, schedule: Schedule) -> list[Occurrence]:
        """Return what became of its occurrences, in order."""
        return await self.people.storage.documents(Occurrence).page(
            {"schedule_id": schedule.id}, within=Range(field="number"), limit=100
        )

    async def received(self) -> int:
        """Return what the recipient has."""
        return await self.people.available(self.recipient)


@pytest.fixture
async def table(storage: Storage) -> AsyncIterator[Table]:
    """The services on the shared database. In the end the books are right."""
    await storage.migrate(MODELS)
    async with people_on(storage) as people:
        service = ScheduleService(
            storage, people.journal, wallets=people.wallets, clock=people.clock
        )
        table = Table(people, service, await people.person(), await people.person())
        await people.fund(table.sender, 100)
        yield table
    report = await verify(storage.ledger())
    assert report.ok, report.difference


@pytest.fixture(scope="package")
async def guilder(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    async with guilder_on(server, tmp_path_factory.mktemp("data")) as started:
        yield started
