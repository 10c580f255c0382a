"""`guilder serve --workers`: one server to the outside, whatever happens inside."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from guilder.app.supervisor import WorkerNotStarted
from guilder.settings import environment_without_settings
from tests.integration.workers.conftest import WORKERS
from tests.support.databases import Database
from tests.support.guilder_process import GuilderProcess, guilder_process
from tests.support.payers import Payment, make_payers
from tests.support.wire import Reply, Wire
from tests.support.workers import (
    PATIENCE_S,
    POLL_S,
    figures,
    wait_for_end,
    wait_for_workers,
    worker_pids,
)

_BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
_SOCKET_NAME_MAX = 108


async def test_the_figures_are_those_of_all_workers(guilder: GuilderProcess) -> None:
    async def asked() -> float:
        counted = await figures(guilder, "guilder_http_requests_total", 'route="/healthz"')
        return sum(counted.values())

    before = await asked()
    for _ in range(25):
        wires = [guilder.wire() for _ in range(4)]
        await asyncio.gather(*(wire.ask("GET", "/healthz") for wire in wires))
        for wire in wires:
            wire.drop()
    # Whoever is asked, and it is not always the same one, says the same.
    assert {await asked() for _ in range(10)} == {before + 100}
    async with guilder.wire() as wire:
        page = (await wire.ask("GET", "/metrics")).body.decode()
    assert f"guilder_workers {WORKERS}.0" in page
    assert page.count("# TYPE guilder_http_requests_total counter") == 1


async def test_a_worker_that_hangs_is_left_out_of_the_figures(guilder: GuilderProcess) -> None:
    hanging = worker_pids(guilder)[0]
    os.kill(hanging, signal.SIGSTOP)
    page = ""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not page:
                # A connection that the hanging one has taken gets no answer; others do.
                with contextlib.suppress(TimeoutError):
                    async with Wire(guilder.host, guilder.port, timeout_s=5) as wire:
                        page = (await wire.ask("GET", "/metrics")).body.decode()
    finally:
        os.kill(hanging, signal.SIGCONT)
    assert f"guilder_workers {WORKERS - 1}.0" in page
    await wait_for_workers(guilder, WORKERS)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_worker_that_ends_is_replaced(
    guilder: GuilderProcess, number: signal.Signals
) -> None:
    before = worker_pids(guilder)
    assert len(before) == WORKERS
    os.kill(before[0], number)
    await wait_for_end(before[:1])
    async with guilder.wire() as wire:
        assert (await wire.ask("GET", "/readyz")).status == 200
    await wait_for_workers(guilder, WORKERS)
    after = worker_pids(guilder)
    assert len(after) == WORKERS
    assert set(after) & set(before) == {before[1]}


async def test_the_bundled_database_may_die(guilder: GuilderProcess) -> None:
    payer, payee = await make_payers(guilder.host, guilder.port, 2)
    guilder.kill_database()
    await guilder.wait_until_ready()
    wires = [guilder.wire() for _ in range(12)]
    payments = [Payment(payer, payee, 1, secrets.token_hex(8)) for _ in wires]
    replies = await asyncio.gather(*map(pay, wires, payments))
    for wire in wires:
        wire.drop()
    assert {reply.status for reply in replies} == {201}


async def pay(wire: Wire, payment: Payment) -> Reply:
    return await wire.ask(
        "POST", "/v1/wallet/transfer", payment.body(), **payment.payer.post(payment.key)
    )


async def test_the_workers_end_with_whoever_runs_them_at_once_or_after_their_answers() -> None:
    async with guilder_process(workers=WORKERS) as guilder:
        pids = worker_pids(guilder)
        assert len(pids) == WORKERS
        meeting_places = _meeting_places(pids)
        assert len(meeting_places) == 1
        guilder.kill()
        await wait_for_end(pids)
        assert not any(place.exists() for place in meeting_places)

        await guilder.start()
        replies = await _terminated_with_payments_in_flight(guilder)
        assert {reply.status for reply in replies} == {201}
        assert await guilder.terminate() == 0, guilder.last_words()
        report = await guilder.verify()
        assert report["ok"], report


def _meeting_places(pids: list[int]) -> set[Path]:
    """Return where the workers' sockets are: the system lists them by process and by name."""
    inodes = {
        file.readlink().name.removeprefix("socket:[").removesuffix("]")
        for pid in pids
        for file in Path(f"/proc/{pid}/fd").iterdir()
        if file.is_symlink() and file.readlink().name.startswith("socket:[")
    }
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {Path(line[7]).parent for line in lines if len(line) > 7 and line[6] in inodes}


async def _terminated_with_payments_in_flight(guilder: GuilderProcess) -> list[Reply]:
    """Hold the head, ask for payments, stop Guilder, and let go of the head."""
    payer, payee = await make_payers(guilder.host, guilder.port, 2)
    wires = [guilder.wire() for _ in range(20)]
    payments = [Payment(payer, payee, 1, f"in flight {number}") for number in range(20)]
    connection = await asyncpg.connect(**guilder.connect_arguments())
    try:
        await connection.execute("BEGIN; SELECT * FROM book_main.head FOR UPDATE")
        answers = [asyncio.create_task(pay(*each)) for each in zip(wires, payments, strict=True)]
        async with asyncio.timeout(PATIENCE_S):
            while not await connection.fetchval(_BLOCKED):  # noqa: ASYNC110 - the database is asked
                await asyncio.sleep(POLL_S)
        os.kill(guilder.pid, signal.SIGTERM)
        await _refuses_connections(guilder)
        assert guilder.is_running
        await connection.execute("ROLLBACK")
        return await asyncio.gather(*answers)
    finally:
        connection.terminate()
        for wire in wires:
            wire.drop()


async def _refuses_connections(guilder: GuilderProcess) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(guilder.host, guilder.port)
            except ConnectionRefusedError:
                return
            writer.transport.abort()
            await asyncio.sleep(POLL_S)


def test_a_worker_that_cannot_start_says_why(database: Database, tmp_path: Path) -> None:
    # Too long for the name of a socket, which is all that this directory is for.
    directory = tmp_path / ("d" * _SOCKET_NAME_MAX)
    directory.mkdir()
    environment = environment_without_settings() | {
        "GUILDER_DATABASE_URL": database.url,
        "GUILDER_DATABASE_OWNER_URL": database.owner_url,
        "GUILDER_DATA_DIRECTORY": str(tmp_path / "data"),
        "GUILDER_PORT": "0",
        "TMPDIR": str(directory),
    }
    done = subprocess.run(
        [sys.executable, "-m", "guilder.cli", "serve", "--workers", "2"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert "could not start. OSError('AF_UNIX path too long')" in done.stderr.splitlines()[-1]
    assert WorkerNotStarted.code == "worker_not_started"
    assert list(directory.iterdir()) == []
