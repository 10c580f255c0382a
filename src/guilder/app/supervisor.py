"""Runs several workers on one socket: starts them, starts again what dies, stops them all.

This process owns what there is one of: the bundled database, the listening socket, the signals. A
worker is a program of its own (`worker.py`). It reads its orders from its standard input, which
stays open: its end means that this process is gone, however it went. It reports on its standard
output.
"""

import asyncio
import contextlib
import pickle
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import msgspec
import structlog
from msgspec import Struct

from guilder.app.services import migrate, opened_storage
from guilder.kernel.errors import GuilderError, Kind, check
from guilder.settings import Settings

GRACE_S = 15
"""For what comes after the last answer: the journal commits what waits, connections are closed."""
PAUSE_MIN_S = 0.1
PAUSE_MAX_S = 10.0
STEADY_S = 30
"""A worker that lived for so long did not die of its start: the next one comes at once."""

PROGRAM = (sys.executable, "-P", "-m", "guilder.app.worker")
"""-P: what lies in the working directory is not ours to run."""

_log = structlog.get_logger("guilder.serve")


class WorkerNotStarted(GuilderError):
    """Every worker that is asked for starts."""

    code = "worker_not_started"
    kind = Kind.UNAVAILABLE
    title = "A worker could not start"


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is to do.

    Args:
        listener: Descriptor of the socket that all share.
        number: Which worker it is, from 1.
        directory: Where the workers find each other.
    """

    settings: Settings
    listener: int
    number: int
    directory: Path


class Report(Struct, frozen=True, omit_defaults=True):
    """What a worker says, as one line of JSON: it is ready, or why it never will be."""

    failure: str | None = None


async def supervise(
    settings: Settings, listener: socket.socket, *, on_ready: Callable[[], None]
) -> None:
    """Serve with `settings.workers` processes until SIGTERM or SIGINT.

    Args:
        listener: Bound and listening; closed when stopping begins.
        on_ready: Called once, when all workers are ready.

    Invariants:
        The schema is current before a worker answers. The database is stopped after the workers.

    Raises:
        WorkerNotStarted: The first start of a worker failed.
        GuilderError: The database could not be opened; the detail says why.
    """
    stop = asyncio.Event()
    async with _directory() as directory, _Database(settings) as database:
        orders = [
            Orders(settings, listener.fileno(), number, directory)
            for number in range(1, settings.workers + 1)
        ]
        workers = [_Worker(each) for each in orders]
        with _signals(workers, stop):
            work = asyncio.create_task(_work(workers, database, on_ready))
            work.add_done_callback(lambda _: stop.set())
            await stop.wait()
            # First this copy of the socket, then the workers': after that nobody is let in.
            listener.close()
            failure = await _ended(work)
            await _end(workers, timeout_s=settings.shutdown_timeout_s + GRACE_S)
    if failure is not None:
        raise failure


async def _work(
    workers: list["_Worker"], database: "_Database", on_ready: Callable[[], None]
) -> None:
    """Start everything, then keep it running; ends with an exception or when cancelled."""
    # They read their code while the database starts, and then their orders.
    await asyncio.gather(*(worker.spawn() for worker in workers))
    await database.open()
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.begin())
    on_ready()
    await asyncio.gather(*(worker.keep_running() for worker in workers))


async def _ended(task: asyncio.Task[None]) -> BaseException | None:
    """Cancel a task, wait for its end, and return what it failed with."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return None
    except BaseExceptionGroup as failures:
        return failures.exceptions[0]
    except Exception as failure:  # noqa: BLE001 - raised again once the workers have ended
        return failure
    return None


async def _end(workers: list["_Worker"], *, timeout_s: float) -> None:
    """Ask the workers to stop; kill what has not after a time."""
    for worker in workers:
        worker.send(signal.SIGTERM)
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.gather(*(worker.wait() for worker in workers))
    except TimeoutError:
        for worker in workers:
            if worker.is_running:
                _log.error("worker_killed", worker=worker.number, after_s=timeout_s)
                worker.send(signal.SIGKILL)
        await asyncio.gather(*(worker.wait() for worker in workers))


@contextlib.asynccontextmanager
async def _directory() -> AsyncIterator[Path]:
    """Make a directory for the workers' sockets. Nobody else may enter it."""
    with TemporaryDirectory(prefix="guilder-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def _signals(workers: list["_Worker"], stop: asyncio.Event) -> Iterator[None]:
    """Stop at the first signal. The workers are told of later ones: a second SIGINT is haste."""

    def take(number: signal.Signals) -> None:
        if stop.is_set():
            for worker in workers:
                worker.send(number)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, take, number)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class _Database:
    """The database, migrated once; the bundled one runs for as long as the block lasts."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self) -> None:
        storage = await opened_storage(self._settings)
        self._stack.push_async_callback(storage.close)
        await migrate(storage)
        if self._settings.database_url is not None:
            # Ours to migrate, not to run: the workers have connections of their own.
            await self._stack.aclose()


def pause_after(pause_s: float, *, lived_s: float) -> float:
    """Return how long to wait before a worker is started again.

    Args:
        pause_s: How long it was the last time; 0 the first time.
        lived_s: How long the worker lived after that.

    >>> pause_after(0.4, lived_s=1), pause_after(10.0, lived_s=1), pause_after(10.0, lived_s=60)
    (0.8, 10.0, 0.1)
    """
    if lived_s >= STEADY_S:
        return PAUSE_MIN_S
    return min(max(2 * pause_s, PAUSE_MIN_S), PAUSE_MAX_S)


class _Worker:
    """One place among the workers, and the process that has it now."""

    def __init__(self, orders: Orders, program: Sequence[str] = PROGRAM) -> None:
        self.number = orders.number
        self._orders = orders
        self._program = program
        self._process: Process | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait until the process has ended; return its exit code."""
        return 0 if self._process is None else await self._process.wait()

    async def spawn(self) -> None:
        """Start the program, which then waits for its orders."""
        self._process = await asyncio.create_subprocess_exec(
            *self._program,
            stdin=PIPE,
            stdout=PIPE,
            pass_fds=(self._orders.listener,),
            start_new_session=True,  # Ctrl-C at a terminal is this process's to pass on.
        )

    async def begin(self) -> None:
        """Give the orders and wait until the worker is ready.

        Raises:
            WorkerNotStarted: It said why not, or ended.
        """
        process = self._process
        check(process is not None, "a worker is spawned before it begins")
        if process is None or process.stdin is None or process.stdout is None:
            return
        with contextlib.suppress(ConnectionError):
            process.stdin.write(pickle.dumps(self._orders))
            await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            code = await process.wait()
            raise WorkerNotStarted(f"Worker {self.number} ended with {code} before it was ready.")
        failure = msgspec.json.decode(line, type=Report).failure
        if failure is not None:
            raise WorkerNotStarted(f"Worker {self.number} could not start. {failure}")

    async def keep_running(self) -> None:
        """Start the worker again whenever it ends, less and less hastily."""
        pause_s = 0.0
        began = time.monotonic()
        while True:
            code = await self.wait()
            pause_s = pause_after(pause_s, lived_s=time.monotonic() - began)
            _log.error("worker_died", worker=self.number, exit_code=code, again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            began = time.monotonic()
            await self.spawn()
            try:
                await self.begin()
            except WorkerNotStarted as error:
                _log.error("worker_not_restarted", worker=self.number, why=error.detail)
            else:
                _log.info("worker_restarted", worker=self.number)
