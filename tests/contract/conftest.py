from collections.abc import AsyncIterator

import pytest

from guilder.storage.base import Storage
from tests.support.gateways import World
from tests.support.gateways import world as build


@pytest.fixture(scope="module")
async def world(module_storage: Storage) -> AsyncIterator[World]:
    """One for a module: each test looks only at what it made itself."""
    async with build(module_storage) as built:
        yield built
