"""The ledger on the real database against a small model of it, after any history whatever.

After every step: the verdicts are the model's; money is conserved per asset; no component is
negative; balances are what the journal says; nobody is overdrawn; what is pending is what open
holds reserve; and a step in which everything was refused left every table byte for byte as it was.

Longer: `GUILDER_MODEL_EXAMPLES=2000 pytest tests/properties/test_ledger_model.py`.
"""

import asyncio
import contextlib
import copy
import itertools
import os
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from guilder.ledger.journal import Journal
from guilder.ledger.models import AMOUNT_MAX, Outcome, TransferRequest
from guilder.ledger.verify import verify
from guilder.storage import open_storage
from guilder.storage.base import Storage
from guilder.storage.records import TransferKind
from tests.support.books import account, account_id, fingerprint, request, transfer_id
from tests.support.databases import _EMPTY, DatabaseServer
from tests.support.ledger_model import Model

T = TypeVar("T")

EXAMPLES = int(os.environ.get("GUILDER_MODEL_EXAMPLES", "60"))
STEPS = 30
ASSETS = {"mint": "USD", "a": "USD", "b": "USD", "c": "USD", "mint-eur": "EUR", "d": "EUR"}
HOLDS_OF_OLD, HOLDS_TO_COME = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
TABLES = ("head", "accounts", "balances", "transfers", "holds")
DIGEST = " || ".join(
    f"(SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM book_main.{name} t)"
    for name in TABLES
)


@dataclass(frozen=True)
class Place:
    """A database, and a loop in another thread on which it is used."""

    loop: asyncio.AbstractEventLoop
    storage: Storage
    owner: Any

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)


@contextlib.contextmanager
def loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def place(postgresql: DatabaseServer) -> Iterator[Place]:
    with loop_in_a_thread() as loop:
        stack = contextlib.AsyncExitStack()

        async def enter() -> Place:
            database = await stack.enter_async_context(postgresql.database())
            storage = await open_storage(database.url)
            stack.push_async_callback(storage.close)
            owner = await asyncpg.connect(database.owner_url)
            stack.push_async_callback(owner.close)
            return Place(loop, storage, owner)

        place = asyncio.run_coroutine_threadsafe(enter(), loop).result(60)
        try:
            yield place
        finally:
            place.run(stack.aclose())


@dataclass(frozen=True)
class Ask:
    """What is asked for, before it is known which holds and transfers there are by then."""

    what: str
    debit: str = "a"
    credit: str = "b"
    amount: int = 1
    asset: str = "USD"
    which: int = 0


_edges = st.sampled_from([0, AMOUNT_MAX, AMOUNT_MAX + 1, AMOUNT_MAX - 50, 2**62])
_amounts = st.one_of(st.integers(1, 60), st.integers(1, 60), _edges)
_usd = st.sampled_from(["a", "b", "c"])
_any = st.sampled_from([*ASSETS, "nobody"])
_which = st.integers(0, 6)
_asks = st.one_of(
    st.builds(Ask, st.just("post"), _usd, _usd, st.integers(1, 60)),
    st.builds(Ask, st.just("post"), st.just("mint"), _usd, _amounts),
    st.builds(Ask, st.just("post"), _any, _any, _amounts, st.sampled_from(["USD", "EUR"])),
    st.builds(Ask, st.just("hold"), _usd, _usd, st.integers(1, 60), which=_which),
    st.builds(Ask, st.just("hold"), st.sampled_from(["mint", "a"]), _usd, _amounts, which=_which),
    st.builds(Ask, st.sampled_from(["capture", "partial"]), amount=_amounts, which=_which),
    st.builds(Ask, st.just("release"), amount=st.sampled_from([0, 0, 0, 1]), which=_which),
    st.builds(Ask, st.just("strange"), _any, _any, _amounts, which=_which),
    st.builds(Ask, st.sampled_from(["again", "again", "changed"]), which=_which),
)
_submissions = st.tuples(st.lists(_asks, min_size=1, max_size=5), st.booleans())
_KINDS = {
    "capture": TransferKind.CAPTURE,
    "partial": TransferKind.PARTIAL_CAPTURE,
    "release": TransferKind.RELEASE,
    "strange": TransferKind.CAPTURE,
}


class LedgerMachine(RuleBasedStateMachine):
    """One history. `place` is set before it runs."""

    place: Place

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.asked: list[TransferRequest] = []
        self.hold_requests: list[TransferRequest] = []
        self.numbers = itertools.count(1)
        self.run(self.place.owner.execute(_EMPTY))
        self.book = self.place.storage.ledger()
        self.journals = [self.new_journal(), self.new_journal()]
        self.digest = ""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.place.run(work)

    def new_journal(self) -> Journal:
        journal = Journal(self.book)
        self.run(journal.start())
        return journal

    def teardown(self) -> None:
        for journal in self.journals:
            self.run(journal.stop())

    @initialize(amount=st.integers(0, 200))
    def open(self, amount: int) -> None:
        for name, asset in ASSETS.items():
            self.model.open(account_id(name), asset=asset, covered=not name.startswith("mint"))
        self.run(self.book.open_accounts([account(n, asset=a) for n, a in ASSETS.items()]))
        if amount:
            funding = [request("mint", name, amount, id=self.new_id()) for name in "ab"]
            self.step([(funding, 0)])

    @rule(submission=_submissions)
    def submit(self, submission: tuple[list[Ask], bool]) -> None:
        self.step([(self.requests(*submission), 0)])

    @rule(submissions=st.lists(st.tuples(_submissions, st.integers(0, 1)), min_size=2, max_size=3))
    def submit_at_once(self, submissions: list[tuple[tuple[list[Ask], bool], int]]) -> None:
        """Several callers, on two writers that take turns as the database lets them."""
        self.step([(self.requests(*each), writer) for each, writer in submissions])

    @rule(name=st.sampled_from(list(ASSETS)), is_frozen=st.booleans())
    def freeze(self, name: str, is_frozen: bool) -> None:
        self.model.accounts[account_id(name)]["frozen"] = is_frozen

        async def freeze() -> None:
            async with self.place.owner.transaction():
                await self.place.owner.execute("UPDATE book_main.head SET revision = revision + 1")
                await self.place.owner.execute(
                    "UPDATE book_main.balances SET is_frozen = $2 WHERE account_id = $1",
                    account_id(name),
                    is_frozen,
                )

        self.run(freeze())
        self.digest = self.check_everything()

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        self.run(self.journals[which].stop())
        self.journals[which] = self.new_journal()

    def new_id(self) -> Any:
        return transfer_id(next(self.numbers))

    def requests(self, asks: list[Ask], is_group: bool) -> list[TransferRequest]:
        group_id = self.new_id() if is_group else None
        return [self.request(ask, group_id) for ask in asks]

    def request(self, ask: Ask, group_id: Any) -> TransferRequest:
        if ask.what in ("again", "changed") and self.asked:
            old = self.asked[-1 - ask.which % len(self.asked)]
            mark = old.fingerprint if ask.what == "again" else fingerprint(ask.what)
            fields = {name: getattr(old, name) for name in old.__struct_fields__}
            return TransferRequest(**{**fields, "group_id": group_id, "fingerprint": mark})
        debit, credit, amount = ask.debit, ask.credit, ask.amount
        fields = {"id": self.new_id(), "asset": ask.asset, "group_id": group_id}
        if ask.what in _KINDS:
            fields["kind"] = _KINDS[ask.what]
            if self.hold_requests:
                hold = self.hold_requests[-1 - ask.which % len(self.hold_requests)]
                fields["hold_id"] = hold.id
                if ask.what != "strange":
                    fields["debit_account_id"] = hold.debit_account_id
                    fields["credit_account_id"] = hold.credit_account_id
        if ask.what == "hold":
            fields["kind"] = TransferKind.HOLD
            ends = (None, HOLDS_OF_OLD, HOLDS_TO_COME, None, None, None, None)
            fields["expires_at"] = ends[ask.which]
        made = request(debit, credit, amount, **fields)
        self.asked.append(made)
        if ask.what == "hold":
            self.hold_requests.append(made)
        return made

    def step(self, submissions: Sequence[tuple[list[TransferRequest], int]]) -> None:
        """Submit at once; find the order in which the model says the same; check everything."""

        async def post_all() -> list[list[Outcome]]:
            work = [self.journals[writer].post_all(requests) for requests, writer in submissions]
            return await asyncio.gather(*work)

        outcomes = self.run(post_all())
        answers = [[outcome.verdict.value for outcome in each] for each in outcomes]
        told: list[Any] = []
        for order in itertools.permutations(range(len(submissions))):
            trial = copy.deepcopy(self.model)
            expected = {index: trial.submit(submissions[index][0]) for index in order}
            told.append([expected[index] for index in range(len(submissions))])
            if told[-1] == answers:
                self.model = trial
                break
        else:
            raise AssertionError(f"the ledger: {answers}; the model, in any order: {told}")
        before, self.digest = self.digest, self.check_everything()
        if "created" not in itertools.chain(*answers) and before:
            assert self.digest == before, "a refusal left a trace"
        self.check_told(submissions, outcomes)

    def check_told(
        self,
        submissions: Sequence[tuple[list[TransferRequest], int]],
        outcomes: list[list[Outcome]],
    ) -> None:
        """What is told to be in the journal is there, as told; what is not, is not."""
        requests = list(itertools.chain(*(requests for requests, _ in submissions)))
        stored = self.run(self.book.transfers([each.id for each in requests]))
        for wanted, outcome in zip(requests, itertools.chain(*outcomes), strict=True):
            if outcome.transfer is not None:
                assert stored[wanted.id] == outcome.transfer
            else:
                assert outcome.verdict.value not in ("created", "exists")
                if wanted.id in stored:
                    assert wanted.id in self.model.done
        assert stored.keys() == {each.id for each in requests} & self.model.done.keys()

    def check_everything(self) -> str:
        accounts, holds, head, digest = self.run(self.read())
        self.check_amounts(accounts, holds)
        for each in accounts:
            expected = self.model.accounts[each.id]
            found = {
                "asset": each.asset,
                "covered": each.no_overdraft,
                "frozen": each.is_frozen,
                "posted": each.posted,
                "pending_in": each.pending_in,
                "pending_out": each.pending_out,
                "sequence": each.sequence,
            }
            assert found == expected
        assert len(accounts) == len(self.model.accounts)
        left = {each.id: each.remaining_minor for each in holds}
        assert left == {key: hold["left"] for key, hold in self.model.holds.items()}
        assert head.position == len(self.model.done)
        return digest

    async def read(self) -> tuple[Any, Any, Any, str]:
        report = await verify(self.book)
        assert report.ok, report.difference
        accounts = await self.book.accounts_after(None, 100)
        holds = await self.book.holds_after(None, 10_000)
        digest = await self.place.owner.fetchval(f"SELECT {DIGEST}")
        return accounts, holds, await self.book.head(), digest

    def check_amounts(self, accounts: list[Any], holds: list[Any]) -> None:
        posted: Counter[str] = Counter()
        reserved: Counter[Any] = Counter()
        for each in accounts:
            posted[each.asset] += each.posted
            assert min(each.pending_in, each.pending_out) >= 0
            if each.no_overdraft:
                assert each.posted >= each.pending_out, "overdrawn"
        assert not any(posted.values()), "money is conserved"
        for hold in holds:
            reserved[hold.debit_account_id, "out"] += hold.remaining_minor
            reserved[hold.credit_account_id, "in"] += hold.remaining_minor
        for each in accounts:
            assert (each.pending_in, each.pending_out) == (
                reserved[each.id, "in"],
                reserved[each.id, "out"],
            )


def test_any_history_is_the_models(place: Place) -> None:
    machine = type("Machine", (LedgerMachine,), {"place": place})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
