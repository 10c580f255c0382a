"""A running Guilder among companies that lie as they are told."""

from collections.abc import AsyncIterator

import pytest

from tests.support.databases import DatabaseServer
from tests.support.http import Running, running, settings_for
from tests.support.oidc import (
    RETURN_URL,
    Browser,
    Company,
    Facebook,
    browser,
    serving_company,
)
from tests.support.outside_people import written


@pytest.fixture(scope="package")
async def company() -> AsyncIterator[Company]:
    made = Company()
    async with serving_company(made):
        yield made


@pytest.fixture(scope="package")
async def other() -> AsyncIterator[Company]:
    """Another provider of the same Guilder, which is honest about itself and wants more."""
    made = Company()
    async with serving_company(made):
        yield made


@pytest.fixture(scope="package")
async def facebook() -> AsyncIterator[Facebook]:
    made = Facebook()
    async with serving_company(made):
        yield made


@pytest.fixture(scope="package")
async def guilder(
    company: Company,
    other: Company,
    facebook: Facebook,
    postgresql: DatabaseServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Running]:
    async with postgresql.database() as database:
        settings = settings_for(
            tmp_path_factory.mktemp("data"),
            database_url=database.url,
            database_owner_url=database.owner_url,
            oidc_providers=[
                company.settings,
                {**other.settings, "name": "other"},
                facebook.settings,
            ],
            outside_return_urls=[RETURN_URL],
        )
        async with running(**settings) as started:
            yield started


@pytest.fixture(autouse=True)
def honest(company: Company, other: Company, facebook: Facebook) -> None:
    for each in (company, other):
        each.honest()
        each.person = {"sub": "victim", "email": "victim@example.com", "email_verified": True}
    facebook.answers = {}


@pytest.fixture(scope="package")
async def shared(guilder: Running) -> AsyncIterator[Browser]:
    async with browser(f"http://127.0.0.1:{guilder.settings.port}") as opened:
        yield opened


@pytest.fixture
def client(shared: Browser) -> Browser:
    return Browser(shared.api, shared.web)


@pytest.fixture
async def nothing_kept(guilder: Running) -> AsyncIterator[None]:
    before = await written(guilder)
    yield
    assert await written(guilder) == before
