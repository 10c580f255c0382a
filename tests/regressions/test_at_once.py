"""Faults others had when many came at once."""

import asyncio
import itertools
from collections import Counter

from guilder.kernel.ids import decode_id
from guilder.ledger.journal import Journal
from guilder.ledger.models import Verdict
from guilder.ledger.verify import verify
from guilder.storage.errors import StorageUnavailable
from tests.support.books import request
from tests.support.databases import Database
from tests.support.http import Running
from tests.support.people import People
from tests.support.postgres_books import created, journals_on, open_funded, posted, state
from tests.support.racer import racers_on
from tests.support.races import BY_NAME, CROWD, ROUNDS
from tests.support.spenders import at_once, balance, order, spender, stands
from tests.support.whole_book import broken

PAIRS = 50 * ROUNDS
"""10,000 in the full run."""
CREATED, POOR = Verdict.CREATED, Verdict.INSUFFICIENT_FUNDS


async def test_r07_every_success_has_its_transfer(guilder: Running) -> None:
    """formancehq/ledger#364: a clash of ids came out as 200 with an empty body."""
    payer, payee = await spender(guilder, 50), await spender(guilder)
    answers = await asyncio.gather(
        *(payer.post("/v1/wallet/transfer", order(payee)) for _ in range(50))
    )
    assert {each.status_code for each in answers} == {201}
    ids = [decode_id("transfer", each.json()["transaction_id"]) for each in answers]
    stored = await guilder.app.state.journal.book.transfers(ids)
    assert len(stored) == len(set(ids)) == 50
    assert await balance(payee) == stands(50)


async def test_r08_the_first_use_of_an_account_spends_no_more_than_it_has(people: People) -> None:
    """formancehq/ledger 994a437a0: with no row to lock, a new account was spent twice."""
    payer = await people.person()
    await people.fund(payer, 30)
    # None of them has an account yet.
    payees = [await people.person() for _ in range(4)]
    found = await asyncio.gather(
        *(people.send(payer, payees[n % 4]) for n in range(CROWD)), return_exceptions=True
    )
    kinds = Counter(type(each).__name__ for each in found)
    assert kinds == {"Sent": 30, "InsufficientFunds": 34}
    assert await people.available(payer) == 0


async def test_r10_there_and_back_never_wait_for_each_other(new_database: Database) -> None:
    """formancehq/ledger 6598af19d, cfb4698a8: locks in no order, deadlocks."""
    async with journals_on(new_database, 2) as (one, two):
        await open_funded(one, left=10 * PAIRS, right=10 * PAIRS)
        there = [request("left", "right", 3) for _ in range(PAIRS)]
        back = [request("right", "left", 2) for _ in range(PAIRS)]
        outcomes = await asyncio.gather(
            *(
                writer.post_all(asked[start : start + 25])
                for start in range(0, PAIRS, 25)
                for writer, asked in ((one, there), (two, back))
            )
        )
        created(list(itertools.chain.from_iterable(outcomes)))
        assert await posted(one, "left") == 9 * PAIRS
        assert await posted(one, "right") == 11 * PAIRS


async def test_r15_what_must_not_go_below_zero_never_does(new_database: Database) -> None:
    """envato/double_entry#114: `positive_only` accounts went negative under concurrency."""
    async with journals_on(new_database, 3) as journals:
        await open_funded(journals[0], left=40, right=0)
        pairs = itertools.cycle((("left", "right"), ("left", "right"), ("right", "left")))
        asked = [request(*next(pairs), 3) for _ in range(2 * CROWD)]
        found = await asyncio.gather(*(journals[n % 3].post(each) for n, each in enumerate(asked)))
        assert {each.verdict for each in found} == {CREATED, POOR}
        legs = [each.transfer.debit for each in found if each.transfer]
        assert min(leg.posted - leg.pending_out for leg in legs) >= 0
        left = [await state(journals[0], name) for name in ("left", "right")]
        assert min(each.available for each in left) >= 0
        assert sum(each.posted for each in left) == 40


async def test_r17_a_hot_account_is_written_once_for_many_transfers(journal: Journal) -> None:
    """cockroachdb/examples-go#101: one hot row, 0 to 50 postings a second."""
    payers = {f"payer {number}": 100 for number in range(20)}
    await open_funded(journal, merchant=0, **payers)
    before = journal.batches
    found = await asyncio.gather(
        *(journal.post(request(name, "merchant", 1)) for name in payers for _ in range(100))
    )
    created(found)
    assert await posted(journal, "merchant") == 2_000
    assert journal.batches - before <= 20, "who waits for the hot account, waits together"


async def test_r22_it_holds_among_processes(new_database: Database) -> None:
    """lnbits/lnbits#4065, #4056: a lock in the process guarded the wallet; two processes did not.

    `tests/races` runs every race this way.
    """
    async with journals_on(new_database, 1) as (journal,), racers_on(new_database.url) as racers:
        race = BY_NAME["balance"]
        await race.prepare(journal, 1)
        (answers,) = await racers.race(race, [1])
        await race.judge(journal, 1, answers)
        assert (await verify(journal.book)).ok


async def test_r25_contention_is_never_called_insufficient_funds(guilder: Running) -> None:
    """interledger five-bells-ledger#402, brave/ledger#13: a serialization failure was reported as
    insufficient funds.
    """
    people = [await spender(guilder, CROWD) for _ in range(2)]
    ways = itertools.cycle((people, people[::-1]))
    calls = [
        payer.post("/v1/wallet/transfer", order(payee))
        for payer, payee in itertools.islice(ways, CROWD)
    ]
    assert await at_once(calls) == {"201": CROWD}
    with broken(guilder.app.state.journal, "find_transfers", StorageUnavailable):
        away = await people[0].post("/v1/wallet/transfer", order(people[1]))
    assert away.json()["code"] == "unavailable"


async def test_r26_what_could_not_be_done_now_is_503_with_retry_after(guilder: Running) -> None:
    """fluree/db#1726: retries that were used up surfaced as 500."""
    payer, payee = await spender(guilder, 100), await spender(guilder)
    with broken(guilder.app.state.journal, "find_transfers", StorageUnavailable):
        away = await payer.post("/v1/wallet/transfer", order(payee, 10), key="mine")
    assert away.status_code == 503
    assert int(away.headers["Retry-After"]) >= 1
    assert away.json()["retryable"] is True
    assert await balance(payer) == stands(100)
    again = await payer.post("/v1/wallet/transfer", order(payee, 10), key="mine")
    assert (again.status_code, await balance(payer)) == (201, stands(90))


async def test_r27_nothing_fails_because_others_are_there(guilder: Running) -> None:
    """formancehq/ledger#1363: 30 to 50 % of answers were 5xx at 10 transactions at once."""
    payer, payee = await spender(guilder, 55), await spender(guilder)
    told: Counter[str] = Counter()
    for _ in range(6):
        told += await at_once(payer.post("/v1/wallet/transfer", order(payee)) for _ in range(10))
    assert told == {"201": 55, "insufficient_funds": 5}


async def test_r31_one_hot_wallet_serves_everybody(guilder: Running) -> None:
    """bavix/laravel-wallet#22, #82, #484, #898, #1009: one wallet, races and lock time-outs."""
    merchant = await spender(guilder, 100)
    others = [await spender(guilder, 10) for _ in range(8)]
    calls = [
        call
        for n in range(CROWD // 2)
        for call in (
            others[n % 8].post("/v1/wallet/transfer", order(merchant, 2)),
            merchant.post("/v1/wallet/transfer", order(others[n % 8], 1)),
        )
    ]
    assert await at_once(calls) == {"201": CROWD}
    assert await balance(merchant) == stands(100 + CROWD // 2)
