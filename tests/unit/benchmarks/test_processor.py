"""Who used the processor, as the system counts it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.processor import used_by_command, used_by_family

_BUSY_S = 0.2
_CHILD = f"""
import time
from pathlib import Path
while time.process_time() < {_BUSY_S}: pass
print("done", flush=True)
input()
"""


@pytest.fixture
def busy_child() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_family_is_a_process_and_its_children(busy_child: subprocess.Popen[bytes]) -> None:
    with busy_child as child:
        assert child.stdout is not None
        child.stdout.readline()
        alone, family = used_by_family(child.pid), used_by_family(os.getpid())
        child.communicate(b"\n")
    assert alone >= _BUSY_S / 2
    assert family >= alone + time.process_time() / 2


def test_a_command_is_all_processes_of_that_name() -> None:
    name = Path("/proc/self/comm").read_text().strip()
    assert used_by_command(name) >= time.process_time() / 2
    assert used_by_command("nobody runs this") == 0
