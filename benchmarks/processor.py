"""Who used the processor: where the time of a figure goes, when the cores are what is short."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SERVERS = {"postgresql": "postgres", "mongodb": "mongod"}
"""By engine, the command of its processes."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class _Process:
    """One process: its command, its parent, and the seconds of processor that it has used."""

    command: str
    parent: int
    used_s: float


def used_by_command(command: str) -> float:
    """Return the seconds that all processes of a command have used; 0 where `/proc` is missing."""
    return sum(each.used_s for each in _processes().values() if each.command == command)


def used_by_family(pid: int) -> float:
    """Return the seconds that a process and its descendants have used; 0 as above."""
    processes = _processes()
    family = {pid}
    while more := {n for n, each in processes.items() if each.parent in family} - family:
        family |= more
    return sum(processes[each].used_s for each in family if each in processes)


def _processes() -> dict[int, _Process]:
    return dict(_read_all())


def _read_all() -> Iterator[tuple[int, _Process]]:
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = file.read_text()
        except OSError:  # It has ended meanwhile.
            continue
        # The command stands in parentheses and may have some itself. See proc_pid_stat(5).
        before, _, after = text.rpartition(")")
        fields = after.split()
        used_s = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
        yield int(file.parent.name), _Process(before.partition("(")[2], int(fields[1]), used_s)
