"""Which processes a PostgreSQL data directory still has, and how to end them without losing
anything.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

from guilder.storage.errors import DatabaseInUse

_PROC = Path("/proc")
_POLL_MS = 20
_STATUS_LINE = 7
"""Of `postmaster.pid`, from 0: `starting`, `ready`, `stopping` or `standby`."""


def processes_in(data: Path) -> list[int]:
    """Return the live processes that run in the data directory; each server process does.

    Where the system has no `/proc`, only the postmaster is looked for.
    """
    if not _PROC.joinpath("self").exists():
        return _postmaster_by_name(data)
    directory = data.resolve()
    return sorted(
        int(entry.name)
        for entry in _PROC.iterdir()
        if entry.name.isdigit() and _runs_in(entry, directory)
    )


def _runs_in(entry: Path, directory: Path) -> bool:
    """Tell whether a process has its working directory there. A dead one has none."""
    try:
        return (entry / "cwd").readlink() == directory
    except OSError:
        return False


def _postmaster_by_name(data: Path) -> list[int]:
    """Return the process of `postmaster.pid`, if that is a PostgreSQL server."""
    pid = recorded_postmaster(data)
    if pid is None:
        return []
    answer = subprocess.run(  # noqa: S603 - a number, not text from outside
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False, text=True
    )
    return [pid] if "postgres" in answer.stdout else []


def recorded_postmaster(data: Path) -> int | None:
    """Return the process id in `postmaster.pid`, which may be long dead."""
    try:
        first = data.joinpath("postmaster.pid").read_text().split("\n", 1)[0]
        return int(first)
    except (OSError, ValueError):
        return None


def is_ready(data: Path, pid: int) -> bool:
    """Tell whether the postmaster `pid` has written that it takes connections."""
    try:
        lines = data.joinpath("postmaster.pid").read_text().split("\n")
    except OSError:
        return False
    return len(lines) > _STATUS_LINE and lines[0] == str(pid) and "ready" in lines[_STATUS_LINE]


def end_leftovers(data: Path, *, timeout_s: int = 60) -> None:
    """End what an earlier Guilder left running here, and clear its pid file.

    Only for the holder of the directory's lock: nothing that runs here has a
    Guilder any more. A postmaster gets SIGINT (the fast, clean stop), orphaned
    workers get SIGTERM. The pid file is removed only when nothing runs here: its
    number may meanwhile be another program's, which would stop PostgreSQL for ever.

    Raises:
        DatabaseInUse: Something still runs after `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    running = processes_in(data)
    postmaster = recorded_postmaster(data)
    if postmaster in running:
        _send(postmaster, signal.SIGINT)
    else:
        for pid in running:
            _send(pid, signal.SIGTERM)
    while processes_in(data):
        if time.monotonic() > deadline:
            raise DatabaseInUse(
                f"A PostgreSQL server (process {postmaster or running[0]}) still runs in {data} "
                "and does not stop. End it with SIGINT and start Guilder again."
            )
        time.sleep(_POLL_MS / 1000)
    data.joinpath("postmaster.pid").unlink(missing_ok=True)


def _send(pid: int | None, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    if pid is None:
        return
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
