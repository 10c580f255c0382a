from collections.abc import AsyncIterator

import pytest

from tests.support.databases import Server
from tests.support.http import Running
from tests.support.late_money import guilder_on

TIERS = {
    "none": {"transfer": {"CHF": 100}, "daily": {"CHF": 150}},
    "basic": {"daily": {"CHF": 500}},
    "full": {"monthly": {"CHF": 5_000}},
}


@pytest.fixture(scope="package")
async def guilder(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """Run it on each engine. Of Swiss francs little may leave a wallet whose owner is unknown."""
    data = tmp_path_factory.mktemp("data")
    async with guilder_on(server, data, tier_limits=TIERS) as started:
        yield started
