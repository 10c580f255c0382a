"""Several workers on the bundled database, for the tests of this folder that leave them whole."""

from collections.abc import AsyncIterator

import pytest

from tests.support.guilder_process import GuilderProcess, guilder_process
from tests.support.workers import wait_for_workers

WORKERS = 2


@pytest.fixture(scope="package")
async def guilder() -> AsyncIterator[GuilderProcess]:
    async with guilder_process(workers=WORKERS) as guilder:
        # It answers when the first is ready; one that dies before it was ready ends all of it.
        await wait_for_workers(guilder, WORKERS)
        yield guilder
