"""One Guilder that is stopped, killed, hung up on and shouted at: what it answered stays so, and
what it did not answer is done once or not at all."""

import asyncio
import contextlib
import itertools
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from tests.support.guilder_process import GuilderProcess, guilder_process
from tests.support.payers import Payer, Payment, make_payers
from tests.support.telling import tell
from tests.support.wire import LOST, Reply, Wire

PATIENCE_S = 60.0
REQUEST_TIMEOUT_S = 2
ATTEMPTS = 4
HANG_UPS = 500
SLICES = 20
SLICE = 500
MEMORY_BYTES = 100_000_000
_POLL_S = 0.02
_QUEUE = "guilder_journal_waiting"
_WAITS_FOR_LOCK = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
_keys = (f"stop {number}" for number in itertools.count())


@dataclass(frozen=True)
class Town:
    """A running Guilder and two people who pay each other."""

    guilder: GuilderProcess
    payers: list[Payer]

    def payments(self, count: int) -> list[Payment]:
        first, second = self.payers
        return [Payment(first, second, 1, next(_keys)) for _ in range(count)]

    async def pay(self, payments: Sequence[Payment]) -> list[Reply]:
        """Ask for them one after another, on one connection."""
        async with self.guilder.wire() as wire:
            return [await ask(wire, payment) for payment in payments]

    async def balances(self) -> list[int]:
        connection = await asyncpg.connect(**self.guilder.connect_arguments())
        rows = await connection.fetch("SELECT account_id, posted FROM book_main.balances")
        await connection.close()
        found = {row["account_id"]: row["posted"] for row in rows}
        return [found[payer.account_id] for payer in self.payers]

    @contextlib.asynccontextmanager
    async def held_up(self, payments: Sequence[Payment]) -> AsyncIterator[list[Wire]]:
        """Hold the head of the book, and have all payments in flight: one before it, the others
        in the journal's queue."""
        wires = [self.guilder.wire() for _ in payments]
        connection = await asyncpg.connect(**self.guilder.connect_arguments())
        try:
            await connection.execute("BEGIN; SELECT * FROM book_main.head FOR UPDATE")
            async with asyncio.timeout(PATIENCE_S):
                await send(wires[0], payments[0])
                while not await connection.fetchval(_WAITS_FOR_LOCK):  # noqa: ASYNC110 - the database is asked
                    await asyncio.sleep(_POLL_S)
                await asyncio.gather(*map(send, wires[1:], payments[1:]))
                while await self._queue() < len(payments) - 1:  # noqa: ASYNC110 - Guilder is asked
                    await asyncio.sleep(_POLL_S)
            yield wires
        finally:
            connection.terminate()

    async def _queue(self) -> int:
        """Return how many transfers wait for the next batch."""
        async with self.guilder.wire() as wire:
            said = (await wire.ask("GET", "/metrics")).body.decode()
        (line,) = [line for line in said.splitlines() if line.startswith(_QUEUE)]
        return int(float(line.split()[-1]))


async def ask(wire: Wire, payment: Payment) -> Reply:
    return await wire.ask(
        "POST", "/v1/wallet/transfer", payment.body(), **payment.payer.post(payment.key)
    )


async def insist(guilder: GuilderProcess, payment: Payment) -> Reply:
    """Ask again when nobody answers, as clients do: this one shouts, too, and may be so busy with
    it that it sends its own request after the time for that is over."""
    async with guilder.wire() as wire:
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(*LOST):
                return await ask(wire, payment)
        return await ask(wire, payment)


async def send(wire: Wire, payment: Payment) -> None:
    await wire.send(
        "POST", "/v1/wallet/transfer", payment.body(), **payment.payer.post(payment.key)
    )


@pytest.fixture(scope="module")
async def town() -> AsyncIterator[Town]:
    async with guilder_process(request_timeout_s=REQUEST_TIMEOUT_S) as guilder:
        yield Town(guilder, await make_payers(guilder.host, guilder.port, 2))


async def test_sigterm_answers_what_is_in_flight(town: Town) -> None:
    payments = town.payments(100)
    before = await town.balances()
    async with town.held_up(payments) as wires:
        os.kill(town.guilder.pid, signal.SIGTERM)
        await refuses_connections(town.guilder)
        answers = [asyncio.create_task(wire.receive()) for wire in wires]
        done, _ = await asyncio.wait(answers, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        assert not done
        assert town.guilder.is_running
    replies = await asyncio.gather(*answers)
    for wire in wires:
        wire.drop()
    assert await town.guilder.terminate() == 0, town.guilder.last_words()
    assert {reply.status for reply in replies} == {201}
    await town.guilder.start()
    assert await town.balances() == [before[0] - 100, before[1] + 100]


async def refuses_connections(guilder: GuilderProcess) -> None:
    """Wait until nothing new is taken."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(guilder.host, guilder.port)
            except ConnectionRefusedError:
                return
            writer.transport.abort()
            await asyncio.sleep(_POLL_S)


async def test_a_key_keeps_its_answer_over_a_kill_and_what_was_in_flight_is_done_once(
    town: Town,
) -> None:
    answered, hanging = town.payments(20), town.payments(50)
    before = await town.balances()
    first = await town.pay(answered)
    async with town.held_up(hanging) as wires:
        town.guilder.kill()
    for wire in wires:
        with pytest.raises(LOST):
            await wire.receive()
    await town.guilder.start()
    assert await town.balances() == [before[0] - 20, before[1] + 20]
    again = await town.pay(answered)
    assert [reply.body for reply in again] == [reply.body for reply in first]
    assert all(reply.is_replayed for reply in again)
    late = await town.pay(hanging)
    assert {(reply.status, reply.is_replayed) for reply in late} == {(201, False)}
    assert await town.balances() == [before[0] - 70, before[1] + 70]


async def test_clients_that_hang_up_leave_the_books_right(town: Town) -> None:
    payments = town.payments(HANG_UPS)
    before = await town.balances()
    chance = random.Random(5)
    gate = asyncio.Semaphore(50)

    async def hang_up(payment: Payment) -> None:
        async with gate, town.guilder.wire() as wire:
            await send(wire, payment)
            await asyncio.sleep(chance.choice((0, 0.001, 0.005, 0.02)))

    await asyncio.gather(*map(hang_up, payments))
    replies = await town.pay(payments)
    assert {reply.status for reply in replies} == {201}
    assert await town.balances() == [before[0] - HANG_UPS, before[1] + HANG_UPS]
    again = await town.pay(payments[:50])
    assert [reply.body for reply in again] == [reply.body for reply in replies[:50]]


async def test_garbage_takes_neither_service_nor_memory(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    guilder = town.guilder
    await garbage(guilder, SLICE, seed=0)
    files, memory = _open_files(guilder), guilder.memory_bytes()
    slowest_s = 0.0
    loop = asyncio.get_running_loop()
    before = asyncio.create_task(asyncio.sleep(0))
    for seed in range(1, SLICES):
        shouting = asyncio.create_task(garbage(guilder, SLICE, seed=seed))
        began = loop.time()
        replies = [await insist(town.guilder, payment) for payment in town.payments(3)]
        slowest_s = max(slowest_s, loop.time() - began)
        assert {reply.status for reply in replies} == {201}
        await before
        before = shouting
    await before
    await wait_for_files(guilder, at_most=files + 10)
    grown = guilder.memory_bytes() - memory
    tell(
        capsys,
        f"garbage: {SLICES * SLICE} connections, slowest three payments {slowest_s:.2f} s, "
        f"memory grew by {grown / 1e6:.1f} MB",
    )
    assert grown < MEMORY_BYTES


_HALF = b"POST /v1/wallet/transfer HTTP/1.1\r\nHost: x\r\n"
_SHOUTS = (
    lambda chance: chance.randbytes(200),
    lambda chance: b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 100_000,
    lambda chance: b"".join(b"X%d: y\r\n" % n for n in range(500)),
    lambda chance: _HALF + b"Content-Length: 99999999999\r\n\r\n" + b"{" * 1_000,
    lambda chance: _HALF + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
    lambda chance: _HALF + b"Content-Length: 10\r\nContent-Length: 20\r\n\r\n",
    lambda chance: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(500),
    lambda chance: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    lambda chance: _HALF,
    lambda chance: b"",
)


async def garbage(guilder: GuilderProcess, count: int, *, seed: int) -> None:
    """Shout over many connections; one in four hangs up, the others wait to be hung up on."""
    chance = random.Random(seed)

    async def shout(what: bytes, *, stays: bool) -> None:
        reader, writer = await asyncio.open_connection(guilder.host, guilder.port)
        try:
            with contextlib.suppress(ConnectionError):
                writer.write(what)
                await writer.drain()
                if stays:
                    async with asyncio.timeout(PATIENCE_S):
                        await reader.read()
        finally:
            writer.transport.abort()

    await asyncio.gather(
        *(shout(chance.choice(_SHOUTS)(chance), stays=chance.random() < 0.75) for _ in range(count))
    )


def _open_files(guilder: GuilderProcess) -> int:
    return len(list(Path(f"/proc/{guilder.pid}/fd").iterdir()))


async def wait_for_files(guilder: GuilderProcess, *, at_most: int) -> None:
    """Wait until the connections are gone."""
    async with asyncio.timeout(PATIENCE_S):
        while _open_files(guilder) > at_most:  # noqa: ASYNC110 - another process closes them
            await asyncio.sleep(_POLL_S)
