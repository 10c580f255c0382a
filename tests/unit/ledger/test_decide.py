"""What a decision changes: balances, holds, and what comes twice in a batch."""

from datetime import timedelta

import pytest

from guilder.kernel.errors import InvariantViolation
from guilder.ledger.models import AMOUNT_MAX, Verdict
from guilder.storage.records import GENESIS, Hold, Leg, Transfer, TransferKind
from tests.support.books import NOON, account, account_id, fingerprint, request, transfer_id
from tests.support.decisions import Books, move, new_books, on_hold, verdicts

POST, HOLD, CAPTURE, PARTIAL, RELEASE = TransferKind
CREATED, EXISTS, DIFFERENT = Verdict.CREATED, Verdict.EXISTS, Verdict.EXISTS_DIFFERENT
POOR = Verdict.INSUFFICIENT_FUNDS


@pytest.fixture
def books() -> Books:
    return new_books()


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


def test_a_time_is_kept_to_the_millisecond(books: Books) -> None:
    """What PostgreSQL keeps and MongoDB cuts would be hashed one way and read another."""
    given, kept = NOON + timedelta(microseconds=1_999), NOON + timedelta(milliseconds=1)
    asked = move(60, "h", kind=HOLD, effective_at=given, expires_at=given)
    (written,) = books.decision([asked]).transfers
    assert (written.effective_at, written.expires_at) == (kept, kept)
    assert books.holds[transfer_id("h")].expires_at == kept
    yesterday = NOON - timedelta(days=1)
    for given_us in (999_000, 999_999):
        early = yesterday + timedelta(microseconds=given_us)
        (written,) = books.decision([move(1, effective_at=early)]).transfers
        assert written.effective_at == yesterday + timedelta(milliseconds=999)


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

    def test_all_that_is_available_can_be_reserved(self, books: Books) -> None:
        assert books.decide([move(100, "h", kind=HOLD), move(1, kind=HOLD)]) == [CREATED, POOR]

    @pytest.mark.parametrize("kind", [CAPTURE, PARTIAL, RELEASE])
    def test_what_settles_a_hold_names_it(self, books: Books, kind: TransferKind) -> None:
        amount = 0 if kind is RELEASE else 60
        decision = books.decision([move(60, "h", kind=HOLD), on_hold(kind, amount)])
        assert [each.hold_id for each in decision.transfers] == [None, transfer_id("h")]

    @pytest.mark.parametrize(("room", "verdict"), [(60, CREATED), (59, Verdict.OVERFLOW)])
    def test_a_capture_fills_an_account_to_the_brim(
        self, books: Books, room: int, verdict: Verdict
    ) -> None:
        payee = account("payee", posted=AMOUNT_MAX - room)
        books.accounts[payee.id] = payee
        assert books.decide([move(60, "h", kind=HOLD), on_hold(CAPTURE, 60)]) == [CREATED, verdict]

    def test_a_hold_can_be_for_giving_back(self, books: Books) -> None:
        sale = move(60, "sale")
        back = [
            request("payee", "payer", 40, kind=HOLD, reverses_id=sale.id),
            request("payee", "payer", 21, kind=HOLD, reverses_id=sale.id),
            request("payee", "third", 1, kind=HOLD, reverses_id=sale.id),
        ]
        assert books.decide([sale, *back]) == [
            CREATED,
            CREATED,
            Verdict.INSUFFICIENT_FUNDS,
            Verdict.ORIGINAL_NOT_FOUND,
        ]

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
        with pytest.raises(InvariantViolation, match=r"^every kind of transfer is decided$"):
            books.decide([move(1, kind=99)])
