"""A process that takes the head of the book and is stopped, or killed, in the middle of a batch."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence

from guilder.ledger import journal
from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, TransferRequest
from guilder.storage import open_storage
from guilder.storage.records import Transfer
from tests.support.bank_worker import transfer

FIRST = 1_000_000
"""Number of its first transfer."""
_decide_all = journal._Work.decide_all


async def main(url: str, number: int, count: int, at: int) -> None:
    """Post `count` transfers in one batch; get signal `number` when `at` of them are decided."""
    left = [at]

    def decide_all(
        self: journal._Work, requests: Sequence[TransferRequest], outcomes: list[Outcome]
    ) -> Iterator[Transfer]:
        for made in _decide_all(self, requests, outcomes):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), number)
            yield made

    journal._Work.decide_all = decide_all  # type: ignore[method-assign]
    storage = await open_storage(url)
    writer = Journal(storage.ledger())
    await writer.start()
    outcomes = await writer.post_all([transfer(FIRST + n) for n in range(count)])
    await writer.stop()
    await storage.close()
    sys.stdout.write(str(sum(outcome.transfer is not None for outcome in outcomes)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], signal.Signals(int(sys.argv[2])), *map(int, sys.argv[3:5])))
