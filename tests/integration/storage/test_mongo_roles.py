"""The two roles of docs/guides/your-own-mongodb.md: the one that serves cannot touch the journal.

The guide's own lines, run as they stand there: a shell is not needed to read them.
"""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from guilder.ledger.journal import Journal
from guilder.ledger.models import Verdict
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from guilder.storage.errors import UnsafeDatabase
from guilder.storage.mongo.server_check import JOURNAL_DEFAULT
from guilder.storage.records import TransferKind
from tests.support.books import account, request
from tests.support.models import Parcel, parcel
from tests.support.mongo import Mongod, eventually

GUIDE = Path(__file__).parents[3] / "docs/guides/your-own-mongodb.md"
_UNAUTHORIZED = 13
PASSWORD = "of-tests"
Client = AsyncMongoClient[dict[str, Any]]


def privileges(collections: list[str]) -> list[dict[str, Any]]:
    """Return what the guide grants, as the server takes it."""
    found: list[dict[str, Any]] = []
    for names, actions in re.findall(
        r"^ *grant\((\[.*?\]), (\[.*?\])\)", GUIDE.read_text(), re.MULTILINE
    ):
        for name in json.loads(names):
            matching = [each for each in collections if re.fullmatch(name, each)]
            found += [
                {"resource": {"db": "guilder", "collection": each}, "actions": json.loads(actions)}
                for each in matching
            ]
    return found


@dataclass
class Place:
    """A server that asks who one is."""

    server: Mongod
    root: Client

    def url(self, user: str) -> str:
        return (
            f"mongodb://{user}:{PASSWORD}@{self.server.address}/guilder"
            "?replicaSet=rs0&authSource=guilder"
        )

    async def user(self, name: str, roles: list[Any]) -> None:
        await self.root.guilder.command("createUser", name, pwd=PASSWORD, roles=roles)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    key = tmp_path / "key"
    key.write_text("c2VjcmV0IG9mIHRlc3Rz")
    key.chmod(0o600)
    server = Mongod(tmp_path, options=["--auth", "--keyFile", str(key)])
    server.start()
    address = f"mongodb://{server.address}/?directConnection=true"
    try:
        # Whoever is on the machine may make the first user, and nothing else.
        first: Client = AsyncMongoClient(address)
        members = [{"_id": 0, "host": server.address}]
        wanted = {"_id": "rs0", "members": members}
        await eventually(lambda: first.admin.command("replSetInitiate", wanted))
        make = {"createUser": "root", "pwd": PASSWORD, "roles": ["root"]}
        await eventually(lambda: first.admin.command(make))
        await first.close()
        root: Client = AsyncMongoClient(address, username="root", password=PASSWORD)
        yield Place(server, root)
        await root.close()
    finally:
        server.stop()


async def test_asvs_13_2_2_the_role_that_serves_can_do_all_but_change_the_journal(
    place: Place,
) -> None:
    await place.user("owner", ["dbOwner"])
    owner = await open_storage(place.url("owner"), accepted_settings={JOURNAL_DEFAULT})
    await owner.migrate([Parcel])
    await owner.close()
    names = await place.root.guilder.list_collection_names()
    await place.root.guilder.command("createRole", "app", privileges=privileges(names), roles=[])
    await place.user("app", ["app"])
    with pytest.raises(UnsafeDatabase, match="clusterMonitor"):
        await open_storage(place.url("app"))
    await place.root.guilder.command(
        "grantRolesToUser", "app", roles=[{"role": "clusterMonitor", "db": "admin"}]
    )
    storage = await open_storage(place.url("app"), owner_url=place.url("owner"))
    assert await storage.migrate([Parcel]) == []
    await serves(Journal(storage.ledger()))
    written = parcel()
    async with storage.transaction() as transaction:
        await transaction.documents(Parcel).insert(written)
    assert await storage.documents(Parcel).delete(written.id)
    await storage.close()
    app: Client = AsyncMongoClient(place.url("app"))
    lines = app.guilder.book_main_transfers
    for change in (
        lambda: lines.update_one({}, {"$set": {"amount_minor": 1}}),
        lambda: lines.delete_one({}),
        lines.drop,
        lambda: app.guilder.book_main_accounts.delete_one({}),
        lambda: app.guilder.command("collMod", "book_main_transfers", validator={}),
    ):
        with pytest.raises(OperationFailure) as refused:
            await change()
        assert refused.value.code == _UNAUTHORIZED
    await app.close()


async def serves(journal: Journal) -> None:
    """Write lines of every kind of effect: balances, holds, counters, flags."""
    await journal.start()
    await journal.open_accounts([account("mint"), account("payer"), account("payee")])
    sale = request("mint", "payer", 10)
    hold = request("payer", "payee", 1, kind=TransferKind.HOLD)
    asked = [sale, hold, request("payer", "mint", 1, reverses_id=sale.id)]
    assert {each.verdict for each in await journal.post_all(asked)} == {Verdict.CREATED}
    await journal.freeze(account("payee").id, is_frozen=True)
    await journal.stop()
    assert (await verify(journal.book)).ok
