"""Fixtures for the bundled server's own tests, and for those of MongoDB."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from guilder.storage.mongo.storage import MongoStorage
from tests.support.databases import reachable_directory


@pytest.fixture(scope="module")
def used() -> Iterator[Path]:
    """A data directory that the tests of this module use one after the other."""
    with reachable_directory() as directory:
        yield directory / "data"


@pytest.fixture
async def failing(mongodb_storage: MongoStorage) -> AsyncIterator[Any]:
    """Lend a function that makes the server fail its next commands."""
    admin = mongodb_storage.engine.client.admin

    async def fail(times: int, **data: Any) -> None:
        await admin.command(
            "configureFailPoint",
            "failCommand",
            mode={"times": times},
            data={"appName": "guilder", **data},
        )

    yield fail
    await admin.command("configureFailPoint", "failCommand", mode="off")
