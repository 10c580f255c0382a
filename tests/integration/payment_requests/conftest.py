from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from guilder.identity.models import User
from guilder.ledger.verify import verify
from guilder.payment_requests.models import PaymentRequest
from guilder.payment_requests.service import PaymentRequestService
from guilder.storage.base import Storage
from tests.support.databases import Server
from tests.support.http import Running
from tests.support.late_money import guilder_on
from tests.support.people import People, people_on


@dataclass
class Table:
    """Two people, the payer with 100, and the service between them."""

    people: People
    service: PaymentRequestService
    payee: User
    payer: User


@pytest.fixture
async def table(storage: Storage) -> AsyncIterator[Table]:
    """The services on the shared database. In the end the books are right."""
    await storage.migrate([PaymentRequest])
    async with people_on(storage) as people:
        service = PaymentRequestService(
            storage,
            people.journal,
            wallets=people.wallets,
            identity=people.identity,
            clock=people.clock,
            base_url="https://guilder.example",
        )
        table = Table(people, service, await people.person("Payee"), await people.person("Payer"))
        await people.fund(table.payer, 100)
        yield table
    report = await verify(storage.ledger())
    assert report.ok, report.difference


@pytest.fixture(scope="package")
async def guilder(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    async with guilder_on(server, tmp_path_factory.mktemp("data")) as started:
        yield started
