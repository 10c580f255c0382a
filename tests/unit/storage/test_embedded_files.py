"""The bundled database's files: who may read them, who holds the lock, whose passwords they are."""

import json
import os
import stat
from pathlib import Path

import pytest

from guilder.storage import embedded_files as files
from guilder.storage.embedded_files import Account, Layout
from guilder.storage.errors import DatabaseInUse, DatabaseNotStarted

OURSELVES = Account(None, None, "")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_lock_is_held_by_one_and_names_it(layout: Layout) -> None:
    descriptor = files.take_lock(layout)
    with pytest.raises(DatabaseInUse, match=str(os.getpid())):
        files.take_lock(layout)
    os.close(descriptor)
    os.close(files.take_lock(layout))
    assert layout.lock.read_text() == f"{os.getpid()}\n"


def test_the_lock_of_a_dead_process_does_not_matter(layout: Layout) -> None:
    layout.lock.write_text("4194304 and more digits than are needed\n")
    os.close(files.take_lock(layout))
    assert layout.lock.read_text() == f"{os.getpid()}\n"


def test_passwords_are_made_once_and_are_random(layout: Layout, tmp_path: Path) -> None:
    made = files.passwords(layout)
    assert files.passwords(layout) == made
    assert set(made) == {files.OWNER, files.APPLICATION}
    assert len(set(made.values())) == 2
    other = tmp_path / "other"
    other.mkdir()
    assert files.passwords(Layout(other)) != made
    assert mode(layout.secrets) == 0o600
    assert json.loads(layout.secrets.read_text()) == made


def test_passwords_are_not_made_anew_for_a_database_that_has_some(layout: Layout) -> None:
    layout.data.mkdir()
    with pytest.raises(DatabaseNotStarted, match="is missing"):
        files.passwords(layout)


def test_a_secret_is_written_whole_over_what_was_left_of_another(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    (tmp_path / "secret.new").write_text("half of an earlier attempt")
    files.write_secret(path, "one")
    files.write_secret(path, "two")
    assert path.read_text() == "two"
    assert mode(path) == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["secret"]


def test_directories_are_made_closed_and_existing_ones_stay(tmp_path: Path) -> None:
    existing = tmp_path / "existing"
    existing.mkdir()
    existing.chmod(0o750)
    files.prepare(Layout(existing / "a" / "b"), OURSELVES)
    assert mode(existing) == 0o750
    assert mode(existing / "a") == mode(existing / "a" / "b") == 0o700
    files.prepare(Layout(existing), OURSELVES)
    assert mode(existing) == 0o750


def test_the_programs_are_there_without_importing_the_package() -> None:
    programs = files.installed_programs()
    assert {"postgres", "initdb"} <= {path.name for path in programs.iterdir()}


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PACKAGE", "no_such_package")
    with pytest.raises(DatabaseNotStarted, match="not installed"):
        files.installed_programs()


def test_an_ordinary_user_runs_everything_as_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    account = files.choose_account("no-such-account")
    assert account == OURSELVES
    assert account.popen_arguments() == {}


def test_what_an_account_can_run() -> None:
    assert OURSELVES.can_run(["/bin/sh", "-c", "exit 0"])
    assert not OURSELVES.can_run(["/bin/sh", "-c", "exit 3"])
    assert not OURSELVES.can_run(["/etc/passwd"])
    assert not OURSELVES.can_run(["/no/such/program"])
