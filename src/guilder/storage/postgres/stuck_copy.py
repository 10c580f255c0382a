"""Ends a writer that stopped while it was copying a batch, and so holds the head for ever.

A session that waits inside COPY for its client is not idle to PostgreSQL: no time-out of a session
or statement ends it, and the machine of a paused process still answers the network's questions. So
whoever has waited for the head in vain looks for such a copy. One that makes no progress is
terminated: it has not committed, and its process, if it goes on, tries again.
"""

import asyncio
from typing import Final

import asyncpg
import structlog

NO_PROGRESS_S: Final = 0.2
"""A copy that is at work sends something every few hundredths of a second."""
# A place where the copy stands. A younger one has not kept anybody waiting for long.
_LOOK: Final = (
    "SELECT pid, bytes_processed FROM pg_stat_progress_copy JOIN pg_stat_activity USING (pid) "
    "WHERE relid = to_regclass($1) AND pg_stat_progress_copy.datname = current_database() "
    "AND query_start < clock_timestamp() - interval '1 second'"
)
_END: Final = (
    "SELECT pid FROM pg_stat_progress_copy WHERE relid = to_regclass($1) "
    "AND datname = current_database() "
    "AND (pid, bytes_processed) IN (SELECT * FROM unnest($2::int[], $3::bigint[])) "
    "AND pg_terminate_backend(pid)"
)
_log = structlog.get_logger(__name__)
Connection = asyncpg.pool.PoolConnectionProxy | asyncpg.Connection


async def end_stuck_copies(connection: Connection, table: str) -> int:
    """Terminate the sessions whose copies into `table` stand still; return how many there were.

    Args:
        connection: Outside a transaction, of the role that copies.
    """
    before = await connection.fetch(_LOOK, table)
    if not before:
        return 0
    await asyncio.sleep(NO_PROGRESS_S)
    ended = await connection.fetch(
        _END, table, [row["pid"] for row in before], [row["bytes_processed"] for row in before]
    )
    if ended:
        _log.warning("stuck_copy_ended", table=table, sessions=len(ended))
    return len(ended)
