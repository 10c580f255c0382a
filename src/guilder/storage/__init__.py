"""Where records are kept: two engines behind the one door of `base.py`; features name neither."""

from collections.abc import Set as AbstractSet
from pathlib import Path
from urllib.parse import urlsplit

from guilder.kernel.errors import InvalidRequest, check
from guilder.storage.base import Storage
from guilder.storage.embedded import EmbeddedPostgres
from guilder.storage.embedded_address import joined_address
from guilder.storage.embedded_files import APPLICATION, OWNER, Layout
from guilder.storage.postgres.engine import Address, Engine
from guilder.storage.postgres.storage import PostgresStorage

_POSTGRESQL, _MONGODB = "postgresql", "mongodb"
_ENGINES = {
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
    "mongodb": _MONGODB,
    "mongodb+srv": _MONGODB,
}
"""By scheme of the url."""


async def open_storage(
    url: str | None = None,
    *,
    data_directory: Path | None = None,
    joins: bool = False,
    owner_url: str | None = None,
    server_account: str = "nobody",
    pool_size: int = 10,
    accepted_settings: AbstractSet[str] = frozenset(),
) -> Storage:
    """Open the database: a given one, or the bundled PostgreSQL.

    Args:
        url: `postgresql://...` or `mongodb://...` for a server of your own; None for the
            bundled PostgreSQL.
        data_directory: Where the bundled one keeps everything. Required without `url`.
        joins: The bundled one is run by another process of ours, and only connected to.
        owner_url: Where migrations connect, if the role of `url` must not own the schema.
        server_account: System account that runs the bundled one when we are root.
        pool_size: Most connections at once.
        accepted_settings: Unsafe settings of a managed server that the operator answers for.

    Raises:
        InvalidRequest: No engine has such a url.
        StorageUnavailable: The server does not answer, or refuses the role.
        UnsafeDatabase: It may lose what it acknowledges.
        DatabaseInUse: Another Guilder uses the data directory.
        DatabaseNotStarted: The bundled one cannot start; the detail says why.
    """
    if url is None:
        check(data_directory is not None, "the bundled database needs a data directory")
        if joins:
            return await _join_embedded(Path(str(data_directory)), pool_size)
        return await _open_embedded(Path(str(data_directory)), server_account, pool_size)
    scheme = _checked_scheme(url)
    if _checked_scheme(owner_url or url) != scheme:
        raise InvalidRequest("Both urls of the database are for the same engine.")
    if scheme == _MONGODB:
        return await _open_mongo(url, owner_url, pool_size, accepted_settings)
    engine = Engine(_at(url), accepted=accepted_settings, pool_size=pool_size)
    await engine.open()
    return PostgresStorage(engine, owner=_at(owner_url or url))


async def _open_embedded(data_directory: Path, account: str, pool_size: int) -> Storage:
    """Start the bundled server and connect to it."""
    server = EmbeddedPostgres(data_directory, account=account)
    await server.start()
    engine = Engine(lambda: server.connect_arguments(APPLICATION), pool_size=pool_size)
    try:
        await engine.open()
    except BaseException:
        await server.stop()
        raise
    return PostgresStorage(engine, owner=lambda: server.connect_arguments(OWNER), server=server)


async def _join_embedded(data_directory: Path, pool_size: int) -> Storage:
    """Connect to the bundled server that another process of ours runs."""
    layout = Layout(data_directory)
    engine = Engine(lambda: joined_address(layout, APPLICATION), pool_size=pool_size)
    await engine.open()
    return PostgresStorage(engine, owner=lambda: joined_address(layout, OWNER))


def _at(url: str) -> Address:
    """Return the address behind a url."""
    return lambda: {"dsn": url}


async def _open_mongo(
    url: str, owner_url: str | None, pool_size: int, accepted: AbstractSet[str]
) -> Storage:
    """Connect to a MongoDB deployment."""
    # The driver takes 0.15 s to import, which nobody on PostgreSQL need wait for.
    from guilder.storage.mongo.engine import Engine as MongoEngine  # noqa: PLC0415
    from guilder.storage.mongo.storage import MongoStorage  # noqa: PLC0415

    engine = MongoEngine(url, accepted=accepted, pool_size=pool_size)
    await engine.open()
    return MongoStorage(engine, owner=MongoEngine(owner_url) if owner_url else None)


def _checked_scheme(url: str) -> str:
    """Return the engine that serves a url; refuse others without repeating the password in it."""
    scheme = urlsplit(url).scheme
    if scheme not in _ENGINES:
        raise InvalidRequest(
            f"No database engine serves {scheme or 'a url without a scheme'}://. Use "
            "postgresql://..., mongodb://..., or no url at all for the bundled database."
        )
    return _ENGINES[scheme]


__all__ = ["open_storage"]
