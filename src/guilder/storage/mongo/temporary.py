"""A database that exists for one purpose and is dropped after it, as the demo needs one."""

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from pymongo.errors import PyMongoError

from guilder.storage.mongo.engine import Engine

_SCHEMES = ("mongodb", "mongodb+srv")


def is_mongodb(url: str) -> bool:
    """Tell whether a url is one of this engine's."""
    return urlsplit(url).scheme in _SCHEMES


@contextlib.contextmanager
def temporary_database(url: str, *, prefix: str) -> Iterator[str]:
    """Lend the url of a new database on the server of `url`; drop it in the end.

    Nothing in the database that `url` itself names is touched.

    Args:
        url: Of a MongoDB server.
        prefix: What the database's name begins with.
    """
    own = urlunsplit(urlsplit(url)._replace(path=f"/{prefix}_{secrets.token_hex(4)}"))
    try:
        yield own
    finally:
        # What cannot be dropped any more is left behind under a name that says what it was.
        with contextlib.suppress(PyMongoError):
            asyncio.run(_drop(own))


async def _drop(url: str) -> None:
    async with Engine(url).patient() as database:
        await database.client.drop_database(database.name)
