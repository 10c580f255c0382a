"""A running Guilder and the companies around it, on each engine."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.support.databases import Server
from tests.support.http import running, settings_for
from tests.support.oidc import (
    RETURN_URL,
    Browser,
    Company,
    Facebook,
    browser,
    mock_provider,
    serving_company,
)
from tests.support.outside_people import World

MOCKED = {"sub": "mocked", "name": "A Friend", "email": "mock@example.com", "email_verified": True}


@pytest.fixture(scope="package")
async def world(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    company, facebook = Company(), Facebook()
    async with (
        serving_company(company),
        serving_company(facebook),
        mock_provider(json.dumps(MOCKED)) as issuer,
        server.database() as database,
    ):
        mocked = {"name": "mock", "issuer": issuer, "client_id": "any", "client_secret": "any"}
        settings = settings_for(
            tmp_path_factory.mktemp("data"),
            database_url=database.url,
            database_owner_url=database.owner_url,
            oidc_providers=[company.settings, facebook.settings, mocked],
            outside_return_urls=RETURN_URL,
        )
        async with running(**settings) as guilder:
            yield World(guilder, company, facebook)


@pytest.fixture(autouse=True)
def honest(world: World) -> None:
    world.company.honest()
    world.company.problems.clear()


@pytest.fixture(scope="package")
async def shared(world: World) -> AsyncIterator[Browser]:
    async with browser(world.base_url) as opened:
        yield opened


@pytest.fixture
def client(shared: Browser) -> Browser:
    return Browser(shared.api, shared.web)
