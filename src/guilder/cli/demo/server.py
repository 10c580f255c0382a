"""A Guilder of its own for one story: a real process on a database that is thrown away."""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from guilder.cli.demo.failure import StoryStopped
from guilder.settings import environment_without_settings

START_S = 60.0
"""Longest wait for the first answer; a cold start takes about five seconds, a busy machine more."""
STOP_S = 15.0
_PAUSE_S = 0.05
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a process to end."""
_OWNER_AND_PASSERS_BY = 0o711
"""The database's own account must be able to pass through, when the story is played by root."""


class TemporaryGuilder:
    """Starts a Guilder and, on leaving, leaves nothing behind.

    Args:
        settings: Variables such as `GUILDER_BCRYPT_COST`. No other setting of this
            process's environment is passed on: it may name a database in use.

    Attributes:
        directory: Everything it writes, removed on leaving.
        url: Where it listens.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._environment = {**environment_without_settings(), **(settings or {})}
        self.directory = Path(tempfile.mkdtemp(prefix="guilder-demo-"))
        self.directory.chmod(_OWNER_AND_PASSERS_BY)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Return this Guilder, not yet started: starting takes seconds worth showing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the process and remove the directory."""
        # A second Ctrl-C must not leave a server behind that has no directory any more.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDINGS}
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)

    def start(self) -> None:
        """Start the process and wait until it is ready.

        Raises:
            StoryStopped: It ended, or is not ready in time. The message has its last words.
        """
        with (self.directory / "server.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, fixed arguments
                self._command("serve", "--host", "127.0.0.1", "--port", str(self.port)),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                # Ctrl-C is for the story, which then stops the server itself, in order.
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                message = f"Guilder did not start:\n{self.last_words()}"
                raise StoryStopped(message)
            time.sleep(_PAUSE_S)

    def stop(self) -> None:
        """Ask the process to end, wait, and make it end if it does not."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def verify(self) -> subprocess.CompletedProcess[str]:
        """Run `guilder verify --json` on the database of this Guilder, which must be stopped."""
        return subprocess.run(  # noqa: S603 - this interpreter, fixed arguments
            self._command("verify", "--json"),
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
            env=self._environment,
        )

    def last_words(self) -> str:
        """Return the end of what the process wrote."""
        log = (self.directory / "server.log").read_text(errors="replace")
        return "\n".join(log.splitlines()[-20:])

    def _is_ready(self) -> bool:
        try:
            answer = httpx2.get(f"{self.url}/readyz", timeout=2.0, trust_env=False)
        except httpx2.HTTPError:
            return False
        return answer.is_success

    def _command(self, *words: str) -> list[str]:
        data = str(self.directory / "data")
        return [sys.executable, "-m", "guilder.cli", *words, "--data-directory", data]


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
