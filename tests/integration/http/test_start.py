"""`guilder serve` that cannot start says why, in words of its own, and ends."""

import fcntl
import subprocess
import sys

from guilder.cli.exit_codes import ExitCode
from guilder.settings import environment_without_settings
from tests.support.databases import reachable_directory

SERVE = [sys.executable, "-m", "guilder.cli", "serve"]


def test_a_data_directory_in_use_is_named() -> None:
    with reachable_directory() as directory:
        data = directory / "data"
        data.mkdir()
        with (data / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ended = subprocess.run(
                [*SERVE, "--port", "0", "--data-directory", str(data)],
                env=environment_without_settings(),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
    assert ended.returncode == ExitCode.UNAVAILABLE
    assert f"Another Guilder uses the data directory {data}." in ended.stderr
    assert "Traceback" not in ended.stderr
