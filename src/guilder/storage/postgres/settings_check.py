"""What every new connection must find before money is trusted to it.

A server that acknowledges a commit and may then forget it is refused, not warned about. A managed
service that reports other values under settings it guarantees by other means can be accepted by
naming the setting; that is logged each time.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from guilder.storage.errors import UnsafeDatabase

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    import asyncpg

_log = structlog.get_logger(__name__)

_OLDEST_VERSION = 140_000


@dataclass(frozen=True, slots=True)
class _Rule:
    """A setting, the values that keep commits, and what to do about any other."""

    setting: str
    safe: frozenset[str]
    cure: str


_RULES = (
    _Rule("fsync", frozenset({"on"}), "Set fsync = on in postgresql.conf and restart the server."),
    _Rule(
        "full_page_writes",
        frozenset({"on"}),
        "Set full_page_writes = on in postgresql.conf and reload the server.",
    ),
    _Rule(
        "synchronous_commit",
        frozenset({"on", "remote_apply", "remote_write"}),
        "Run ALTER ROLE ... SET synchronous_commit = on for Guilder's role.",
    ),
    _Rule(
        "data_sync_retry",
        frozenset({"off"}),
        "Set data_sync_retry = off in postgresql.conf and restart the server.",
    ),
)

_READ = """
SELECT current_setting('server_version_num')::int AS version,
       pg_is_in_recovery() AS is_standby,
       current_setting('data_checksums') AS data_checksums,
       current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('data_sync_retry') AS data_sync_retry
"""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself."""

    version: int
    """As `server_version_num`: 180006 is 18.6."""
    has_data_checksums: bool


async def check_settings(
    connection: "asyncpg.Connection[asyncpg.Record]", accepted: "AbstractSet[str]" = frozenset()
) -> ServerFacts:
    """Refuse a server that may lose what it acknowledges.

    Args:
        connection: A connection just made.
        accepted: Names of settings that the operator answers for.

    Returns:
        Its version, and whether silent corruption of its pages would show.

    Raises:
        UnsafeDatabase: Names the setting, its value and the cure.
    """
    found = await connection.fetchrow(_READ)
    if found is None:
        raise UnsafeDatabase("The server did not answer with its settings.")
    if found["version"] < _OLDEST_VERSION:
        raise UnsafeDatabase(
            f"server_version_num is {found['version']}: Guilder needs PostgreSQL 14 or later."
        )
    if found["is_standby"]:
        raise UnsafeDatabase(
            "pg_is_in_recovery() is true: this server is a standby. Give the address of the "
            "primary, or add target_session_attrs=read-write to the url."
        )
    for rule in _RULES:
        value = found[rule.setting]
        if value in rule.safe:
            continue
        if rule.setting not in accepted:
            raise UnsafeDatabase(f"{rule.setting} is {value}. {rule.cure}")
        _log.warning("unsafe_setting_accepted", setting=rule.setting, value=value)
    return ServerFacts(found["version"], found["data_checksums"] == "on")
