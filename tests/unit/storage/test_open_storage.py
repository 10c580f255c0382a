"""Which url opens which engine, and what is said about the others."""

import pytest

from guilder.kernel.errors import InvalidRequest, InvariantViolation
from guilder.storage import open_storage


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://user:secret@host:port/db",
        "mongodb://user:secret@/db",
        "mongodb://user:sec@ret@host/db",
    ],
)
async def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read") as caught:
        await open_storage(url)
    assert "sec" not in str(caught.value)


async def test_both_urls_are_for_one_engine() -> None:
    with pytest.raises(InvalidRequest, match="same engine"):
        await open_storage("postgresql://host/db", owner_url="mongodb://host/db")


@pytest.mark.parametrize("url", ["mysql://user:secret@host/db", "host/db", "", "sqlite:///x"])
async def test_another_engine_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="No database engine") as caught:
        await open_storage(url)
    assert "secret" not in str(caught.value)


async def test_the_owners_url_is_looked_at_too() -> None:
    with pytest.raises(InvalidRequest):
        await open_storage("postgresql://host/db", owner_url="mysql://host/db")


async def test_the_bundled_one_needs_a_directory() -> None:
    with pytest.raises(InvariantViolation):
        await open_storage()
