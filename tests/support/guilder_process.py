"""A whole Guilder as a process of its own, with its bundled database, to be killed and started
again."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from guilder.settings import environment_without_settings
from guilder.storage.embedded import free_port
from guilder.storage.embedded_files import OWNER, Layout
from guilder.storage.embedded_processes import processes_in
from tests.support.databases import reachable_directory
from tests.support.kills import kill_database
from tests.support.wire import LOST, Wire

START_S = 90.0
"""Longest wait for readiness; a quiet machine needs three seconds."""
_POLL_S = 0.02


class GuilderProcess:
    """`guilder serve` on a data directory and a port that stay the same over restarts."""

    def __init__(self, directory: Path, **settings: object) -> None:
        self.layout = Layout(directory / "data")
        self.log = directory / "guilder.log"
        self.host, self.port = "127.0.0.1", free_port()
        self._process: subprocess.Popen[bytes] | None = None
        given = {
            "host": self.host,
            "port": self.port,
            "data_directory": self.layout.root,
            "bcrypt_cost": 4,
            "access_log": False,
            "log_level": "warning",
            "rate_limit_enabled": False,
            "access_ttl_s": 43_200,
            "session_idle_s": 43_200,
            **settings,
        }
        self._environment = environment_without_settings() | {
            f"GUILDER_{name.upper()}": str(value) for name, value in given.items()
        }

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def spawn(self) -> None:
        """Start it and do not wait."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "guilder.cli", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )

    async def start(self) -> float:
        """Start it and wait until it is ready; return how many seconds that took."""
        began = time.monotonic()
        self.spawn()
        await self.wait_until_ready()
        return time.monotonic() - began

    async def wait_until_ready(self) -> None:
        """Wait until it says that it is well."""
        deadline = time.monotonic() + START_S
        async with self.wire() as wire:
            while True:
                with contextlib.suppress(*LOST):
                    if (await wire.ask("GET", "/readyz")).status == 200:
                        return
                assert self._process is not None
                assert self._process.poll() is None, self.last_words()
                assert time.monotonic() < deadline, self.last_words()
                await asyncio.sleep(_POLL_S)

    def wire(self) -> Wire:
        """Return a connection to it."""
        return Wire(self.host, self.port)

    def kill(self) -> None:
        """End the process without a chance to do anything more. Its database ends by itself."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def kill_database(self) -> int:
        """End every process of its database at once."""
        return kill_database(self.layout.data)

    async def terminate(self) -> int:
        """Ask it to stop and wait until it has; return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, START_S)

    def connect_arguments(self) -> dict[str, Any]:
        """Return what `asyncpg.connect` needs to look into its database.

        Raises:
            OSError, IndexError: It does not run now.
        """
        port = (self.layout.data / "postmaster.pid").read_text().split("\n")[3]
        return {
            "host": "127.0.0.1",
            "port": int(port),
            "user": OWNER,
            "password": json.loads(self.layout.secrets.read_text())[OWNER],
            "database": "guilder",
            "ssl": False,
        }

    async def verify(self) -> dict[str, Any]:
        """Run `guilder verify` on its database; it must be stopped."""
        code, output = await self.command("verify", "--json")
        report: dict[str, Any] = json.loads(output)
        return report | {"exit_code": code}

    async def command(self, *words: str) -> tuple[int, str]:
        """Run `guilder WORDS` with its settings; return the exit code and what was printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "guilder.cli", *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        async with asyncio.timeout(START_S):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    def memory_bytes(self) -> int:
        """Return how much memory the process itself occupies."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def last_words(self) -> str:
        """Return the end of what it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def end(self) -> None:
        """Leave nothing running."""
        self.kill()
        deadline = time.monotonic() + START_S
        while processes_in(self.layout.data) and time.monotonic() < deadline:
            self.kill_database()
            time.sleep(_POLL_S)


@contextlib.asynccontextmanager
async def guilder_process(**settings: object) -> AsyncIterator[GuilderProcess]:
    """Run a Guilder; nothing of it is left in the end."""
    with reachable_directory() as directory:
        guilder = GuilderProcess(directory, **settings)
        try:
            await guilder.start()
            yield guilder
        finally:
            guilder.end()
