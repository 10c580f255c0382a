"""The audit record for tests: events to fill it with, and who may change it past Guilder."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from msgspec.structs import replace

from guilder.audit.models import MODELS
from guilder.audit.sealer import AuditSealer
from guilder.audit.trail import AddressKey, AuditTrail
from guilder.kernel.clock import utc_now
from guilder.storage import open_storage
from guilder.storage.base import D, Document, Storage
from tests.support.databases import Database

ADDRESS_KEY = AddressKey(b"address secret for tests, 32 bytes or more")
USER = "user_01h2xcejqtf2nbrexx3vqjhp41"
OTHER = "user_01h2xcejqtf2nbrexx3vqjhp42"


def trail_of(storage: Storage) -> AuditTrail:
    """Return the record of a storage."""
    return AuditTrail(storage, clock=utc_now, address_key=ADDRESS_KEY)


async def fill(storage: Storage, count: int) -> None:
    """Record so many events."""
    trail = trail_of(storage)
    for number in range(count):
        await trail.record(
            "session.opened",
            actor=USER,
            subject=OTHER if number % 3 else USER,
            details={"number": str(number)},
            address="192.0.2.7",
        )


async def seal_all(storage: Storage) -> AuditSealer:
    """Seal whatever waits."""
    sealer = AuditSealer(storage, clock=utc_now)
    while await sealer.step():
        pass
    return sealer


async def everything(storage: Storage, model: type[D]) -> list[D]:
    """Return all documents of a small collection, by id."""
    return await storage.documents(model).page({}, limit=1_000)


def owner_storage(database: Database) -> AbstractAsyncContextManager[Storage]:
    """Lend the database to somebody who may change everything."""
    return opened(database.owner_url, database)


@contextlib.asynccontextmanager
async def opened(url: str, database: Database) -> AsyncIterator[Storage]:
    """Lend the database as it is seen from one of its urls."""
    storage = await open_storage(url, owner_url=database.owner_url)
    try:
        yield storage
    finally:
        await storage.close()


class Record:
    """The whole stored record, to be changed and put back by the owner of the database.

    Attributes:
        now: By model, the documents by id, as they are stored.
    """

    def __init__(self, owner: Storage) -> None:
        self._owner = owner
        self.now: dict[type[Document], dict[str, Document]] = {}

    async def read(self) -> None:
        """Read what is stored."""
        for model in MODELS:
            found = await everything(self._owner, model)
            self.now[model] = {each.id: each for each in found}

    async def write(self, wanted: dict[type[Document], dict[str, Document]]) -> None:
        """Make what is stored be `wanted`."""
        async with self._owner.transaction() as transaction:
            for model in MODELS:
                there, then = self.now[model], wanted[model]
                documents = transaction.documents(model)
                changed = [key for key in there if there[key] != then.get(key)]
                for key in changed:
                    await documents.delete(key)
                for key in then:
                    if key in changed or key not in there:
                        await documents.insert(_with_version(then[key]))
        self.now = wanted


def _with_version(document: Document) -> Document:
    """A document is inserted with version 1; nothing depends on the version of these."""
    return replace(document, version=1)
