"""What is known of a data directory's processes, with and without `/proc`."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from guilder.storage import embedded_processes as processes
from guilder.storage.errors import DatabaseInUse

PID_FILE = "{pid}\n/data\n1\n5432\n\n127.0.0.1\n 1 2\n{status}\n"


@pytest.mark.parametrize("content", [None, "", "abc", "\n1"])
def test_no_postmaster_is_recorded(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "postmaster.pid").write_text(content)
    assert processes.recorded_postmaster(tmp_path) is None
    assert not processes.is_ready(tmp_path, 1)


@pytest.mark.parametrize(
    ("pid", "status", "ready"),
    [(7, "ready   ", True), (7, "starting", False), (8, "ready   ", False)],
)
def test_ready_is_what_the_postmaster_itself_wrote(
    tmp_path: Path, *, pid: int, status: str, ready: bool
) -> None:
    (tmp_path / "postmaster.pid").write_text(PID_FILE.format(pid=pid, status=status))
    assert processes.is_ready(tmp_path, 7) is ready


def test_a_directory_where_nothing_runs_loses_its_stale_pid_file(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(PID_FILE.format(pid=os.getpid(), status="ready"))
    processes.end_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []
    processes.end_leftovers(tmp_path)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
def test_orphans_are_ended(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "600"], cwd=tmp_path) as orphan:
        assert processes.processes_in(tmp_path) == [orphan.pid]
        processes.end_leftovers(tmp_path)
        assert orphan.wait(10) == -signal.SIGTERM
    assert processes.processes_in(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
def test_one_that_does_not_end_is_said(tmp_path: Path) -> None:
    deaf = ["/bin/sh", "-c", "trap '' TERM; echo; while :; do read -r line; done"]
    with subprocess.Popen(
        deaf, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(DatabaseInUse, match=str(process.pid)):
            processes.end_leftovers(tmp_path, timeout_s=0)
        process.kill()


def test_without_proc_only_a_postgres_is_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path / "no-proc")
    assert processes.processes_in(tmp_path) == []
    with subprocess.Popen(["/bin/sleep", "600"]) as stranger:
        (tmp_path / "postmaster.pid").write_text(f"{stranger.pid}\n")
        assert processes.processes_in(tmp_path) == []
        stranger.kill()
    named = ["/bin/sh", "-c", "read -r line", "postgres"]
    with subprocess.Popen(named, stdin=subprocess.PIPE) as server:
        (tmp_path / "postmaster.pid").write_text(f"{server.pid}\n")
        assert processes.processes_in(tmp_path) == [server.pid]
