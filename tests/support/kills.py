"""Killing what a test has started: whole PostgreSQL servers at once, and connections."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import asyncpg

from guilder.storage.embedded import EmbeddedPostgres
from guilder.storage.embedded_files import OWNER
from guilder.storage.embedded_processes import processes_in, recorded_postmaster

AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises when the server goes in the middle of something."""

_CUT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def kill_database(data: Path) -> int:
    """Kill every process of the server in `data` at once; return how many there were.

    The postmaster is stopped first, so that it neither restarts a child nor says goodbye to one.
    """
    postmaster = recorded_postmaster(data)
    if postmaster is None or postmaster not in processes_in(data):
        return 0
    _send(postmaster, signal.SIGSTOP)
    processes = processes_in(data)
    for pid in [pid for pid in processes if pid != postmaster] + [postmaster]:
        _send(pid, signal.SIGKILL)
    return len(processes)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def cut_connections(server: EmbeddedPostgres) -> int:
    """Let the server end every client's connection."""
    return await cut_connections_at(**server.connect_arguments(OWNER))


async def cut_connections_at(**arguments: Any) -> int:
    """Let the server at this address end every client's connection; return how many."""
    connection = await asyncpg.connect(**arguments)
    try:
        cut: int = await connection.fetchval(_CUT)
        return cut
    finally:
        await connection.close()
