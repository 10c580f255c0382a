"""The bundled server killed, orphaned, cancelled or found half made: nothing lost, nothing left."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from guilder.storage import open_storage
from guilder.storage.embedded import EmbeddedPostgres
from guilder.storage.embedded_files import Account, choose_account
from guilder.storage.embedded_processes import end_leftovers, processes_in, recorded_postmaster
from tests.support.databases import ask, reachable_directory
from tests.support.models import Parcel
from tests.support.processes import is_running, other_guilder, processes_with

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def sleeper(account: Account) -> "subprocess.Popen[bytes]":
    """Start a program that has nothing to do with PostgreSQL."""
    process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
        ["/bin/sleep", "600"], cwd="/", **account.popen_arguments()
    )
    return process


async def until_ended(pid: int) -> None:
    async with asyncio.timeout(30):
        while is_running(pid):  # noqa: ASYNC110 - another process's end is no event of ours
            await asyncio.sleep(1 / 100)


@linux_only
async def test_the_server_ends_with_a_killed_guilder_and_loses_nothing(used: Path) -> None:
    with other_guilder(used, "parcel_before_the_kill") as other:
        assert other.stdout is not None
        ready = await asyncio.to_thread(other.stdout.readline)
        postmaster = int(ready.split()[1])
        other.kill()
        await until_ended(postmaster)
    assert processes_in(used / "postgresql") == []
    storage = await open_storage(data_directory=used)
    assert await storage.documents(Parcel).get("parcel_before_the_kill") is not None
    await storage.close()


@linux_only
async def test_a_server_that_outlived_guilder_is_ended_at_the_next_start(used: Path) -> None:
    with other_guilder(used, "parcel_of_an_orphan") as other:
        assert other.stdout is not None
        ready = await asyncio.to_thread(other.stdout.readline)
        postmaster = int(ready.split()[1])
        for pid in set(processes_with("exec 3<&0")) & set(processes_with(str(used))):
            os.kill(pid, signal.SIGKILL)
        other.kill()
        await asyncio.to_thread(other.wait)
        assert is_running(postmaster)
        storage = await open_storage(data_directory=used)
        assert not is_running(postmaster)
        assert await storage.documents(Parcel).get("parcel_of_an_orphan") is not None
        await storage.close()


@linux_only
async def test_a_killed_server_comes_back_by_itself(used: Path) -> None:
    server = EmbeddedPostgres(used)
    await server.start()
    for _ in range(2):
        killed, port = server.pid, server.port
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(60):
            while server.pid in {killed, None}:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(1 / 100)
            while True:
                try:
                    assert await ask(server, "SELECT 1") == 1
                    break
                except (OSError, asyncpg.PostgresError):
                    await asyncio.sleep(1 / 100)
        assert server.port == port
    await server.stop()
    assert processes_in(used / "postgresql") == []


@linux_only
async def test_stopping_in_the_middle_of_a_comeback_leaves_nothing(used: Path) -> None:
    for turns in (1, 3, 10, 30):
        server = EmbeddedPostgres(used)
        await server.start()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        for _ in range(turns):
            await asyncio.sleep(1 / 100)
        await server.stop()
        end_leftovers(used / "postgresql")
        assert processes_in(used / "postgresql") == []


@linux_only
async def test_a_crash_of_both_leaves_a_stale_pid_file_that_does_not_matter(used: Path) -> None:
    with other_guilder(used, "parcel_of_a_crash") as other:
        assert other.stdout is not None
        ready = await asyncio.to_thread(other.stdout.readline)
        other.kill()
        os.kill(int(ready.split()[1]), signal.SIGKILL)
        await asyncio.to_thread(other.wait)
    storage = await open_storage(data_directory=used)
    assert await storage.documents(Parcel).get("parcel_of_a_crash") is not None
    await storage.close()


@linux_only
async def test_a_stale_pid_file_that_names_a_stranger(used: Path) -> None:
    """After a restart of the machine the number is often another program's, of the same account."""
    server = EmbeddedPostgres(used)
    await server.start()
    pid_file = used / "postgresql" / "postmaster.pid"
    content = pid_file.read_text().split("\n")
    await server.stop()
    account = choose_account("nobody")
    with sleeper(account) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *content[1:]]))
        account.give(pid_file)
        await server.start()
        assert recorded_postmaster(used / "postgresql") == server.pid
        await server.stop()
        assert stranger.poll() is None
        stranger.kill()


async def test_an_interrupted_first_start_is_begun_again() -> None:
    with reachable_directory() as directory:
        data = directory / "data"
        (data / "postgresql.new").mkdir(parents=True)
        data.chmod(0o711)
        (data / "postgresql.new" / "PG_VERSION").write_text("18\n")
        (data / "initdb-password").write_text("left over\n")
        server = EmbeddedPostgres(data)
        await server.start()
        assert await ask(server, "SELECT 1") == 1
        await server.stop()
        assert not (data / "postgresql.new").exists()
        assert not (data / "initdb-password").exists()


async def test_a_first_start_that_is_cancelled_leaves_no_process_and_no_lock() -> None:
    with reachable_directory() as directory:
        data = directory / "data"
        for turns in (1, 20, 60):
            server = EmbeddedPostgres(data)
            task = asyncio.create_task(server.start())
            for _ in range(turns):
                await asyncio.sleep(1 / 100)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled():
                await server.stop()
            assert processes_in(data / "postgresql") == []
        storage = await open_storage(data_directory=data)
        await storage.close()
