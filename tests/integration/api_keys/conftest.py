from collections.abc import AsyncIterator

import pytest

from guilder.api_keys.models import MODELS
from guilder.storage.base import Storage
from tests.support.databases import Server
from tests.support.http import Running
from tests.support.late_money import guilder_on


@pytest.fixture
async def keys_storage(storage: Storage) -> Storage:
    """The shared database, with the collections of keys."""
    await storage.migrate(MODELS)
    return storage


@pytest.fixture(scope="package")
async def guilder(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    async with guilder_on(server, tmp_path_factory.mktemp("data")) as started:
        yield started
