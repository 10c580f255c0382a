"""What a decision changes: balances, holds, groups, and what comes twice in a batch."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from guilder.kernel.errors import InvariantViolation
from guilder.ledger.chain import chain_hash
from guilder.ledger.decide import Decision, decide
from guilder.ledger.models import AMOUNT_MAX, TransferRequest, Verdict
from guilder.storage.records import GENESIS, Account, Head, Hold, Leg, Transfer, TransferKind
from tests.support.books import NOON, account, account_id, fingerprint, request, transfer_id

POST, HOLD, CAPTURE, PARTIAL, RELEASE = TransferKind
CREATED, EXISTS, DIFFERENT = Verdict.CREATED, Verdict.EXISTS, Verdict.EXISTS_DIFFERENT
FAILED, POOR = Verdict.GROUP_FAILED, Verdict.INSUFFICIENT_FUNDS


class Books:
    """State that is carried from one decision to the next, and checked after each."""

    def __init__(self, *accounts: Account) -> None:
        self.accounts = {each.id: each for each in accounts}
        self.holds: dict[Any, Hold] = {}
        self.journal: dict[Any, Transfer] = {}
        self.head = GENESIS
        self.now = NOON

    def decide(self, requests: Sequence[TransferRequest]) -> list[Verdict]:
        return verdicts(self.decision(requests))

    def decision(self, requests: Sequence[TransferRequest]) -> Decision:
        before = dict(self.accounts), dict(self.holds), dict(self.journal)
        decision = decide(
            requests,
            accounts=self.accounts,
            holds=self.holds,
            existing=self.journal,
            head=self.head,
            now=self.now,
        )
        assert (self.accounts, self.holds, self.journal) == before, "the input is left alone"
        self.check(decision)
        self.accounts |= decision.accounts
        self.holds |= decision.holds
        self.journal |= {each.id: each for each in decision.transfers}
        self.head = decision.head
        return decision

    def check(self, decision: Decision) -> None:
        created = [o.transfer for o in decision.outcomes if o.verdict is CREATED]
        assert created == decision.transfers
        first = self.head.position + 1
        assert [t.position for t in created if t] == list(range(first, first + len(created)))
        known = self.journal | {each.id: each for each in decision.transfers}
        for outcome in decision.outcomes:
            if outcome.verdict in (CREATED, EXISTS):
                assert outcome.transfer is not None
                assert known[outcome.transfer.id] is outcome.transfer, "what is told is there"
        previous = self.head.hash
        for transfer in decision.transfers:
            previous = chain_hash(previous, transfer)
            assert transfer.hash == previous
        grown = 1 if decision.transfers else 0
        assert decision.head == Head(
            self.head.position + len(created), previous, self.head.revision + grown
        )
        after = {**self.accounts, **decision.accounts}.values()
        assert sum(each.posted for each in after) == sum(x.posted for x in self.accounts.values())
        assert sum(each.pending_in for each in after) == sum(each.pending_out for each in after)

    def of(self, name: str) -> tuple[int, int, int, int]:
        """Return posted, pending in, pending out and sequence."""
        found = self.accounts[account_id(name)]
        return found.posted, found.pending_in, found.pending_out, found.sequence

    def left(self, name: str) -> int:
        return self.holds[transfer_id(name)].remaining_minor


def verdicts(decision: Decision) -> list[Verdict]:
    return [outcome.verdict for outcome in decision.outcomes]


@pytest.fixture
def books() -> Books:
    return Books(account("mint"), account("payer", posted=100), account("payee"), account("third"))


def move(amount: int, name: str = "", **fields: Any) -> TransferRequest:
    """Ask for a transfer from payer to payee."""
    if name:
        fields["id"] = transfer_id(name)
    return request("payer", "payee", amount, **fields)


def on_hold(kind: TransferKind, amount: int, hold: str = "h", **fields: Any) -> TransferRequest:
    return move(amount, kind=kind, hold_id=transfer_id(hold), **fields)


def test_nothing_asked_nothing_changed(books: Books) -> None:
    decision = books.decision([])
    assert (decision.outcomes, decision.accounts, decision.head) == ([], {}, GENESIS)


def test_a_post_moves_the_amount(books: Books) -> None:
    assert books.decide([move(60)]) == [CREATED]
    assert books.of("payer") == (40, 0, 0, 1)
    assert books.of("payee") == (60, 0, 0, 1)


def test_what_is_asked_for_is_written_down(books: Books) -> None:
    asked = move(
        60,
        "it",
        code="sale",
        group_id=transfer_id("group"),
        effective_at=NOON - timedelta(days=1),
        expires_at=NOON + timedelta(days=1),
        reference="r-1",
        metadata={"k": "v"},
        fingerprint=fingerprint("x"),
    )
    (written,) = books.decision([asked]).transfers
    assert written == Transfer(
        position=1,
        id=transfer_id("it"),
        kind=POST,
        debit_account_id=account_id("payer"),
        credit_account_id=account_id("payee"),
        amount_minor=60,
        asset="USD",
        code="sale",
        group_id=transfer_id("group"),
        hold_id=None,
        expires_at=NOON + timedelta(days=1),
        effective_at=NOON - timedelta(days=1),
        created_at=NOON,
        reference="r-1",
        metadata={"k": "v"},
        fingerprint=fingerprint("x"),
        debit=Leg(1, 40, 0, 0),
        credit=Leg(1, 60, 0, 0),
        hash=written.hash,
    )


def test_without_another_time_it_counts_from_now(books: Books) -> None:
    assert books.decision([move(1)]).transfers[0].effective_at == NOON


def test_what_an_account_is_stays_as_it_is(books: Books) -> None:
    frozen = account("payee", is_frozen=True, code="special", owner="o", no_overdraft=False)
    books.accounts[frozen.id] = frozen
    books.decide([move(1)])
    found = books.accounts[frozen.id]
    assert (found.is_frozen, found.is_closed, found.no_overdraft) == (True, False, False)
    assert (found.code, found.owner, found.asset) == ("special", "o", "USD")
    assert found.created_at == frozen.created_at


def test_each_request_is_decided_on_what_those_before_it_left(books: Books) -> None:
    chain = [move(60), move(60), request("payee", "third", 60), request("third", "payer", 20)]
    assert books.decide([*chain, move(60)]) == [CREATED, POOR, CREATED, CREATED, CREATED]
    assert books.of("payer") == (0, 0, 0, 3)


def test_the_last_unit_can_be_spent_once(books: Books) -> None:
    assert books.decide([move(100), move(1)]) == [CREATED, POOR]


def test_an_account_that_may_go_below_zero_does(books: Books) -> None:
    assert books.decide([request("mint", "payer", 1_000)]) == [CREATED]
    assert books.of("mint") == (-1_000, 0, 0, 1)


@pytest.mark.parametrize("amount", [1, AMOUNT_MAX - 1, AMOUNT_MAX])
def test_amounts_reach_the_edges_of_int64(amount: int) -> None:
    books = Books(account("mint"), account("payer"))
    assert books.decide([request("mint", "payer", amount)]) == [CREATED]
    assert books.of("mint")[0] == -amount
    assert books.of("payer")[0] == amount


def test_balances_stop_at_the_edges_of_int64() -> None:
    books = Books(account("mint"), account("payer"), account("payee"))
    fill = request("mint", "payer", AMOUNT_MAX)
    assert books.decide([fill, request("mint", "payer", 1)]) == [CREATED, Verdict.OVERFLOW]
    assert books.decide([request("mint", "payee", 1)]) == [CREATED]
    assert books.of("mint")[0] == -(2**63)
    assert books.decide([request("mint", "payee", 1)]) == [Verdict.OVERFLOW]


class TestTwice:
    """The same id again."""

    def test_later_it_exists(self, books: Books) -> None:
        books.decide([move(60, "it")])
        decision = books.decision([move(60, "it")])
        assert verdicts(decision) == [EXISTS]
        assert decision.outcomes[0].transfer is books.journal[transfer_id("it")]
        assert books.of("payer") == (40, 0, 0, 1)

    def test_in_one_batch_it_exists(self, books: Books) -> None:
        assert books.decide([move(60, "it"), move(60, "it"), move(60, "it")]) == [
            CREATED,
            EXISTS,
            EXISTS,
        ]

    def test_another_request_is_told_so(self, books: Books) -> None:
        other = move(60, "it", fingerprint=fingerprint("other"))
        assert books.decide([move(60, "it"), other]) == [CREATED, DIFFERENT]
        assert books.decide([other, move(60, "it")]) == [DIFFERENT, EXISTS]

    def test_a_refused_id_is_decided_afresh(self, books: Books) -> None:
        assert books.decide([move(101, "it")]) == [POOR]
        assert books.decide([request("mint", "payer", 1), move(101, "it")]) == [CREATED, CREATED]

    def test_a_retry_is_answered_although_everything_has_changed(self, books: Books) -> None:
        books.decide([move(100, "it")])
        closed = account("payer", is_frozen=True, is_closed=True)
        books.accounts[closed.id] = closed
        del books.accounts[account_id("payee")]
        books.accounts[account_id("third")] = account("third", posted=100)
        assert books.decide([move(100, "it")]) == [EXISTS]


class TestHolds:
    """Reserve, capture, release."""

    def test_a_hold_reserves_on_both_sides(self, books: Books) -> None:
        assert books.decide([move(60, "h", kind=HOLD, expires_at=NOON)]) == [CREATED]
        assert books.of("payer") == (100, 0, 60, 1)
        assert books.of("payee") == (0, 60, 0, 1)
        assert books.holds[transfer_id("h")] == Hold(
            id=transfer_id("h"),
            debit_account_id=account_id("payer"),
            credit_account_id=account_id("payee"),
            asset="USD",
            amount_minor=60,
            remaining_minor=60,
            expires_at=NOON,
        )

    def test_what_is_reserved_cannot_be_spent(self, books: Books) -> None:
        batch = [move(60, "h", kind=HOLD), move(41), move(41, kind=HOLD), move(40)]
        assert books.decide(batch) == [CREATED, POOR, POOR, CREATED]

    def test_what_is_only_promised_cannot_be_spent(self, books: Books) -> None:
        batch = [move(60, "h", kind=HOLD), request("payee", "third", 1)]
        assert books.decide(batch) == [CREATED, POOR]

    def test_a_capture_moves_it_and_releases_the_rest(self, books: Books) -> None:
        batch = [move(60, "h", kind=HOLD), on_hold(CAPTURE, 45), on_hold(CAPTURE, 1)]
        assert books.decide(batch) == [CREATED, CREATED, Verdict.HOLD_SETTLED]
        assert books.of("payer") == (55, 0, 0, 2)
        assert books.of("payee") == (45, 0, 0, 2)
        assert books.left("h") == 0

    def test_a_partial_capture_keeps_the_rest(self, books: Books) -> None:
        books.decide([move(60, "h", kind=HOLD)])
        assert books.decide([on_hold(PARTIAL, 45)]) == [CREATED]
        assert books.of("payer") == (55, 0, 15, 2)
        assert books.of("payee") == (45, 15, 0, 2)
        assert books.decide([on_hold(PARTIAL, 16)]) == [Verdict.CAPTURE_EXCEEDS_HOLD]
        assert books.decide([on_hold(PARTIAL, 15)]) == [CREATED]
        assert books.left("h") == 0
        assert books.decide([on_hold(RELEASE, 0)]) == [Verdict.HOLD_SETTLED]

    def test_a_release_gives_back_what_is_left_and_says_how_much(self, books: Books) -> None:
        books.decide([move(60, "h", kind=HOLD), on_hold(PARTIAL, 45)])
        decision = books.decision([on_hold(RELEASE, 0)])
        assert decision.transfers[0].amount_minor == 15
        assert books.of("payer") == (55, 0, 0, 3)
        assert books.of("payee") == (45, 0, 0, 3)

    def test_an_expired_hold_can_only_be_released(self, books: Books) -> None:
        books.decide([move(60, "h", kind=HOLD, expires_at=NOON)])
        books.now = NOON + timedelta(seconds=1)
        assert (
            books.decide([on_hold(CAPTURE, 60), on_hold(PARTIAL, 1)]) == [Verdict.HOLD_EXPIRED] * 2
        )
        assert books.of("payer") == (100, 0, 60, 1)
        assert books.decide([on_hold(RELEASE, 0)]) == [CREATED]
        assert books.of("payer") == (100, 0, 0, 2)

    def test_a_hold_that_is_settled_and_expired_is_settled(self, books: Books) -> None:
        books.decide([move(60, "h", kind=HOLD, expires_at=NOON), on_hold(RELEASE, 0)])
        assert books.decide([on_hold(CAPTURE, 1)]) == [Verdict.HOLD_SETTLED]

    def test_a_freeze_stops_no_capture(self, books: Books) -> None:
        books.decide([move(60, "h", kind=HOLD)])
        payer = account_id("payer")
        books.accounts[payer] = account("payer", posted=100, pending_out=60, is_frozen=True)
        assert books.decide([move(1), move(1, kind=HOLD), on_hold(CAPTURE, 60)]) == [
            Verdict.ACCOUNT_FROZEN,
            Verdict.ACCOUNT_FROZEN,
            CREATED,
        ]

    @pytest.mark.parametrize(("debit", "credit"), [("third", "payee"), ("payer", "third")])
    def test_others_have_no_part_in_a_hold(self, books: Books, debit: str, credit: str) -> None:
        books.decide([move(60, "h", kind=HOLD), request("mint", "third", 100)])
        stranger = request(debit, credit, 60, kind=CAPTURE, hold_id=transfer_id("h"))
        assert books.decide([stranger]) == [Verdict.HOLD_NOT_FOUND]

    def test_a_post_is_no_hold(self, books: Books) -> None:
        books.decide([move(60, "h")])
        assert books.decide([on_hold(CAPTURE, 60)]) == [Verdict.HOLD_NOT_FOUND]

    def test_a_capture_retried_counts_once(self, books: Books) -> None:
        capture = on_hold(PARTIAL, 20, id=transfer_id("c"))
        assert books.decide([move(60, "h", kind=HOLD), capture, capture]) == [
            CREATED,
            CREATED,
            EXISTS,
        ]
        assert books.left("h") == 40

    def test_an_unknown_kind_is_our_fault(self, books: Books) -> None:
        with pytest.raises(InvariantViolation):
            books.decide([move(1, kind=99)])


class TestGroups:
    """All or none."""

    def test_all(self, books: Books) -> None:
        assert books.decide(grouped([move(60), request("payee", "third", 60)])) == [CREATED] * 2
        assert books.of("third") == (60, 0, 0, 1)

    def test_none_and_the_cause_is_told(self, books: Books) -> None:
        group = grouped([move(60), move(41), move(40)])
        assert books.decide(group) == [FAILED, POOR, FAILED]
        assert books.of("payer") == (100, 0, 0, 0)
        assert books.holds == {}

    def test_a_failed_group_leaves_its_neighbours_alone(self, books: Books) -> None:
        batch = [
            move(10, "before"),
            *grouped([move(10, "inside"), move(10, "h", kind=HOLD), move(1_000)], "first"),
            *grouped([move(20), on_hold(CAPTURE, 10)], "second"),
            move(30),
            *grouped([move(1), move(2)], "third"),
        ]
        assert books.decide(batch) == [
            *[CREATED],
            *[FAILED, FAILED, POOR],
            *[FAILED, Verdict.HOLD_NOT_FOUND],
            *[CREATED, CREATED, CREATED],
        ]
        assert books.of("payer") == (100 - 10 - 30 - 3, 0, 0, 4)
        assert books.holds == {}
        assert transfer_id("inside") not in books.journal

    def test_a_failed_group_puts_back_what_this_batch_had_changed(self, books: Books) -> None:
        batch = [
            move(50, "h", kind=HOLD),
            on_hold(PARTIAL, 10),
            *grouped([on_hold(PARTIAL, 10), on_hold(RELEASE, 0), move(1_000)]),
            on_hold(PARTIAL, 40),
        ]
        assert books.decide(batch) == [CREATED, CREATED, FAILED, FAILED, POOR, CREATED]
        assert books.of("payer") == (50, 0, 0, 3)
        assert books.left("h") == 0

    def test_a_failed_group_leaves_no_hold_whatever_it_refers_to(self, books: Books) -> None:
        odd = move(10, "h", kind=HOLD, hold_id=transfer_id("else"))
        assert books.decide(grouped([odd, move(1_000)])) == [FAILED, POOR]
        assert books.holds == {}

    def test_a_retry_of_a_whole_group_exists(self, books: Books) -> None:
        group = grouped([move(10, "a"), move(10, "b")])
        assert books.decide(group) == [CREATED] * 2
        assert books.decide(group) == [EXISTS] * 2

    def test_a_group_cannot_be_added_to(self, books: Books) -> None:
        books.decide(grouped([move(10, "a")]))
        assert books.decide(grouped([move(10, "a"), move(10, "b")])) == [EXISTS, FAILED]
        assert books.decide(grouped([move(10, "b")])) == [CREATED]

    @pytest.mark.parametrize(
        ("second", "told"), [("the request", FAILED), ("another request", DIFFERENT)]
    )
    def test_an_id_twice_in_a_group_fails_it(
        self, books: Books, second: str, told: Verdict
    ) -> None:
        """It was found in the group's own transfers, which are gone: `exists` would be a lie."""
        twice = [move(10, "a"), move(10, "a", fingerprint=fingerprint(second))]
        decision = books.decision(grouped(twice))
        assert verdicts(decision) == [FAILED, told]
        assert [outcome.transfer for outcome in decision.outcomes] == [None, None]
        assert books.journal == {}

    def test_a_failed_group_is_decided_afresh(self, books: Books) -> None:
        group = grouped([move(60, "a"), move(60, "b")])
        assert books.decide(group) == [FAILED, POOR]
        assert books.decide([request("mint", "payer", 20), *group]) == [CREATED] * 3

    def test_groups_side_by_side_are_two(self, books: Books) -> None:
        batch = [*grouped([move(10)], "one"), *grouped([move(1_000), move(10)], "two")]
        assert books.decide(batch) == [CREATED, POOR, FAILED]


def grouped(requests: Iterable[TransferRequest], name: str = "group") -> list[TransferRequest]:
    """Return the requests as one group."""
    return [replace(each, group_id=transfer_id(name)) for each in requests]
