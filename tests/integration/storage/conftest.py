from collections.abc import AsyncIterator
from typing import Any

import pytest

from guilder.storage.mongo.storage import MongoStorage


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
