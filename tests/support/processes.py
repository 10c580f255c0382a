"""Other processes for tests: a Guilder that holds its storage open, and what runs beside it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from guilder.storage.embedded_files import Account

_HOLD = """
import asyncio, sys
from pathlib import Path
from guilder.kernel.errors import GuilderError
from guilder.storage import open_storage
from tests.support.models import Parcel, parcel

async def hold():
    try:
        storage = await open_storage(data_directory=Path(sys.argv[1]))
    except GuilderError as error:
        print(f"{error.code}: {error}", flush=True)
        return
    await storage.migrate([Parcel])
    await storage.documents(Parcel).insert(parcel(id=sys.argv[2]))
    print(f"ready {storage.server.pid}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await storage.close()
    print("closed", flush=True)

asyncio.run(hold())
"""


_CHECKOUT = Path(__file__).parents[2]
_ENVIRONMENT = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": os.pathsep.join([str(_CHECKOUT), *filter(None, sys.path)]),
}


def interpreter_for(account: Account) -> str | None:
    """Return a Python that the account can run Guilder with: ours, or the system's, or none."""
    for python in (sys.executable, "/usr/bin/python3"):
        done = subprocess.run(  # type: ignore[call-overload]
            ["/bin/sh", "-c", '"$0" -c "import guilder.storage, tests.support.models"', python],
            cwd="/",
            env=_ENVIRONMENT,
            capture_output=True,
            check=False,
            **account.popen_arguments(),
        )
        if done.returncode == 0:
            return python
    return None


@contextlib.contextmanager
def other_guilder(
    data: Path,
    document_id: str = "parcel_of_the_other",
    *,
    account: Account | None = None,
    python: str = sys.executable,
) -> Iterator[subprocess.Popen[str]]:
    """Run another Guilder on `data`, as another account if one is given.

    It inserts a document, prints `ready` and its server's pid, and closes when its input ends.
    """
    process = subprocess.Popen(  # type: ignore[call-overload]
        [python, "-c", _HOLD, data, document_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env=_ENVIRONMENT,
        **(account.popen_arguments() if account else {}),
    )
    with process:
        yield process
        process.kill()


def is_running(pid: int) -> bool:
    """Tell whether a process lives; one that has ended and waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def processes_with(argument: str) -> list[int]:
    """Return the live processes that have `argument` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and argument.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]
