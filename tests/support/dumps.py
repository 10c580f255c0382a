"""Everything that a database holds, as whoever steals a dump of it would read it."""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable

from tests.support.databases import Database
from tests.support.postgres_books import owner_of
from tests.support.tampering import is_mongodb, mongo_database

_START = 8
"""Characters by which a disguise is recognised before all of it is compared."""
_TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""


async def dump(database: Database) -> str:
    """Return every row of every table, or every document of every collection, one a line."""
    rows = _documents(database) if is_mongodb(database) else _rows(database)
    return "\n".join([row async for row in rows])


async def _rows(database: Database) -> AsyncIterator[str]:
    async with owner_of(database) as owner:
        for (table,) in await owner.fetch(_TABLES):
            for (row,) in await owner.fetch(f"SELECT whole::text FROM {table} AS whole"):
                yield f"{table} {row}"


async def _documents(database: Database) -> AsyncIterator[str]:
    async with mongo_database(database) as found:
        for name in await found.list_collection_names():
            async for document in found[name].find({}):
                yield f"{name} {json.dumps(document, default=_plain, ensure_ascii=False)}"


def _plain(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def secrets_in(text: str, secrets: Iterable[str]) -> list[str]:
    """Return those of the secrets that stand in a text, plain or in a disguise.

    One walk over the text, not one for each: ten disguises of a thousand took half a minute.
    """
    hidden: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for secret in secrets:
        for disguise in disguises(secret):
            assert len(disguise) >= _START, f"{disguise} is too short to be looked for"
            hidden[disguise[:_START]].append((disguise, secret))
    return sorted(
        {
            secret
            for place in range(len(text) - _START + 1)
            for disguise, secret in hidden.get(text[place : place + _START], ())
            if text.startswith(disguise, place)
        }
    )


def disguises(secret: str) -> set[str]:
    """Return the ways in which a secret could stand in a dump and be no secret any more."""
    raw = secret.encode()
    digest = hashlib.sha256(raw)
    return {
        secret,
        secret.casefold(),
        secret.replace("+", "\\u002b"),
        # Without the last characters, which depend on what follows.
        base64.b64encode(raw).decode()[: len(raw) * 4 // 3 - 1],
        base64.urlsafe_b64encode(raw).decode()[: len(raw) * 4 // 3 - 1],
        raw.hex(),
        digest.hexdigest(),
        base64.b64encode(digest.digest()).decode().rstrip("="),
        hashlib.md5(raw, usedforsecurity=False).hexdigest(),
        hashlib.sha1(raw, usedforsecurity=False).hexdigest(),
    }
