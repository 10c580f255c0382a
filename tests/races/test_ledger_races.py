"""64 at once, over and over, for everything that the books give out only once: never more than
there is, never less. By one writer, by writers that share a process, and by processes."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence

import pytest

from guilder.kernel.clock import utc_now
from guilder.ledger.journal import Journal
from tests.support.racer import Racers, attempt
from tests.support.races import CROWD, RACES, ROUNDS, ROUNDS_AT_ONCE, Answer, Race

Run = Callable[[Race, Sequence[int]], Awaitable[list[list[Answer]]]]
RACE = pytest.mark.parametrize("race", RACES, ids=lambda race: race.name.replace(" ", "_"))


async def run_rounds(race: Race, journal: Journal, run: Run, *, first: int) -> None:
    """Run every round of a race. Numbers from `first` on are nobody else's."""
    for start in range(first, first + ROUNDS, ROUNDS_AT_ONCE):
        rounds = range(start, min(start + ROUNDS_AT_ONCE, first + ROUNDS))
        day = utc_now().date()
        await asyncio.gather(*(race.prepare(journal, number) for number in rounds))
        answers = await run(race, rounds)
        if utc_now().date() == day:  # Else the windows of a limit have begun anew.
            await asyncio.gather(
                *(race.judge(journal, *each) for each in zip(rounds, answers, strict=True))
            )


@RACE
async def test_in_one_process(journals: list[Journal], race: Race) -> None:
    """In turn by one writer, which decides most of it in one batch, and by four."""
    ways = itertools.cycle((journals, journals[:1]))

    async def run(race: Race, rounds: Sequence[int]) -> list[list[Answer]]:
        return await attempt(next(ways), race, rounds, range(CROWD))

    await run_rounds(race, journals[0], run, first=0)


@RACE
async def test_in_four_processes(journals: list[Journal], racers: Racers, race: Race) -> None:
    await run_rounds(race, journals[0], racers.race, first=1_000_000)
