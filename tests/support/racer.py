"""A process that races: told a race and a round, it makes its share of the attempts at once."""

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from guilder.kernel.errors import Unavailable
from guilder.ledger.journal import BATCH_MAX, Journal
from guilder.storage import open_storage
from tests.support.races import BY_NAME, CROWD, Answer, Place, Race, answer_of

PROCESSES = 4
SMALL_BATCH = 8
"""Of one of the writers: so it comes back to accounts that others have changed in the meantime."""
_PATIENCE_S = 120


async def attempt(
    journals: Sequence[Journal], race: Race, rounds: Sequence[int], share: Sequence[int]
) -> list[list[Answer]]:
    """Make a share of the attempts of some rounds, all at once, in turn through the journals.

    Returns:
        Round by round, attempt by attempt, the answers.
    """

    async def insist(number: int, n: int) -> Answer:
        """Ask until there is an answer: on a busy machine a turn may take long."""
        asked = race.attempt(Place(race.name, number), n)
        while True:
            with contextlib.suppress(Unavailable):
                return answer_of(await journals[n % len(journals)].post_all(asked))

    return await asyncio.gather(
        *(asyncio.gather(*(insist(number, n) for n in share)) for number in rounds)
    )


def batch_max(writer: int) -> int:
    """Return the size of a writer's batches."""
    return SMALL_BATCH if writer == 1 else BATCH_MAX


class Racers:
    """Processes that share nothing but the database."""

    def __init__(self, processes: list[Process]) -> None:
        self._processes = processes

    async def race(self, race: Race, rounds: Sequence[int]) -> list[list[Answer]]:
        """Let all of them go at once, and collect what each was told, round by round."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps([race.name, list(rounds)]).encode() + b"\n")
        told = [json.loads(line) for line in await asyncio.gather(*map(_line, self._processes))]
        return [
            [(verdict, transfer) for part in parts for verdict, transfer in part]
            for parts in zip(*told, strict=True)
        ]


async def _line(process: Process) -> bytes:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), _PATIENCE_S)
    assert line, "a racing process has ended"
    return line


@contextlib.asynccontextmanager
async def racers_on(url: str) -> AsyncIterator[Racers]:
    """Start the processes on a database; none is left in the end."""
    processes: list[Process] = []
    try:
        for share in range(PROCESSES):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.support.racer", url, str(share)),
                stdin=PIPE,
                stdout=PIPE,
                cwd=Path(__file__).parents[2],
            )
            processes.append(process)
        for process in processes:
            await _line(process)
        yield Racers(processes)
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


async def _main(url: str, share: int) -> None:
    storage = await open_storage(url)
    journal = Journal(storage.ledger(), batch_max=batch_max(share))
    await journal.start()
    _say([])
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, rounds = json.loads(line)
        _say(await attempt([journal], BY_NAME[name], rounds, range(share, CROWD, PROCESSES)))
    await journal.stop()
    await storage.close()


def _say(answers: list[list[Answer]]) -> None:
    sys.stdout.write(json.dumps(answers) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
