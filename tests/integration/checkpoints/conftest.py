"""A running Guilder on a database of its own, that signs when a test says so."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.databases import Database
from tests.support.http import Running, running, settings_for


@pytest.fixture
async def guilder(new_database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    settings = settings_for(
        tmp_path,
        database_url=new_database.url,
        database_owner_url=new_database.owner_url,
        books_check_interval_s=3_600,
        checkpoint_interval_s=1,
    )
    async with running(**settings) as started:
        yield started
