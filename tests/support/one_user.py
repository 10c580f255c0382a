"""Identity with one user, who has registered. Import the fixtures in the folder's conftest."""

from collections.abc import AsyncIterator

import pytest

from guilder.identity.service import IdentityService
from guilder.storage.base import Storage
from tests.support.identity import HandClock, application, identity_service

EMAIL = "payer@example.com"


@pytest.fixture
def clock() -> HandClock:
    """A clock that is moved by hand."""
    return HandClock()


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    """The service, a second after somebody registered."""
    async with identity_service(storage, clock) as service:
        await service.register(application(email=EMAIL))
        clock.move(seconds=1)
        yield service
