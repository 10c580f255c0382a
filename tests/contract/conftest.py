from collections.abc import AsyncIterator

import pytest

from tests.support.databases import Server
from tests.support.gateways import World
from tests.support.gateways import world as build


@pytest.fixture(scope="module")
async def world(server: Server) -> AsyncIterator[World]:
    """One for a module: each test looks only at what it made itself."""
    async with server.storage() as storage, build(storage) as built:
        yield built
