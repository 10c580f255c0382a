from collections.abc import AsyncIterator

import pytest

from guilder.storage.base import Storage
from tests.support.gateways import World
from tests.support.gateways import world as build


@pytest.fixture
async def world(storage: Storage) -> AsyncIterator[World]:
    async with build(storage) as built:
        yield built
