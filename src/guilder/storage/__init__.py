"""Where records are kept: two engines behind the one door of `base.py`; features name neither."""

from collections.abc import Set as AbstractSet
from pathlib import Path
from urllib.parse import urlsplit

from guilder.kernel.errors import InvalidRequest, check
from guilder.storage.base import Storage
from guilder.storage.embedded import EmbeddedPostgres
from guilder.storage.embedded_files import APPLICATION, OWNER
from guilder.storage.postgres.engine import Address, Engine
from guilder.storage.postgres.storage import PostgresStorage


async def open_storage(
    url: str | None = None,
    *,
    data_directory: Path | None = None,
    owner_url: str | None = None,
    server_account: str = "nobody",
    pool_size: int = 10,
    accepted_settings: AbstractSet[str] = frozenset(),
) -> Storage:
    """Open the database: a given one, or the bundled PostgreSQL.

    Args:
        url: `postgresql://...` for a server of your own; None for the bundled one.
        data_directory: Where the bundled one keeps everything. Required without `url`.
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
        return await _open_embedded(Path(str(data_directory)), server_account, pool_size)
    _check_url(url)
    _check_url(owner_url or url)
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


def _at(url: str) -> Address:
    """Return the address behind a url."""
    return lambda: {"dsn": url}


def _check_url(url: str) -> None:
    """Refuse a url that no engine serves, without repeating the password in it."""
    scheme = urlsplit(url).scheme
    if scheme in {"mongodb", "mongodb+srv"}:
        raise InvalidRequest(
            "MongoDB comes with the next release. Use postgresql://..., or no url at all for the "
            "bundled database."
        )
    if scheme not in {"postgresql", "postgres"}:
        raise InvalidRequest(
            f"No database engine serves {scheme or 'a url without a scheme'}://. "
            "Use postgresql://..., or no url at all for the bundled database."
        )


__all__ = ["open_storage"]
