"""Several workers on the bundled database, for the tests of this folder that leave them whole."""

from collections.abc import AsyncIterator

import pytest

from tests.support.guilder_process import GuilderProcess, guilder_process

WORKERS = 2


@pytest.fixture(scope="package")
async def guilder() -> AsyncIterator[GuilderProcess]:
    async with guilder_process(workers=WORKERS) as guilder:
        yield guilder
