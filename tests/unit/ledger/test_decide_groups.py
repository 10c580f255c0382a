"""Groups: all of it or none of it."""

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from guilder.ledger.models import TransferRequest, Verdict
from guilder.storage.records import TransferKind
from tests.support.books import fingerprint, request, transfer_id
from tests.support.decisions import Books, move, new_books, on_hold, verdicts

HOLD, CAPTURE, PARTIAL, RELEASE = list(TransferKind)[1:]
CREATED, EXISTS, DIFFERENT = Verdict.CREATED, Verdict.EXISTS, Verdict.EXISTS_DIFFERENT
FAILED, POOR = Verdict.GROUP_FAILED, Verdict.INSUFFICIENT_FUNDS


@pytest.fixture
def books() -> Books:
    return new_books()


def test_all(books: Books) -> None:
    assert books.decide(grouped([move(60), request("payee", "third", 60)])) == [CREATED] * 2
    assert books.of("third") == (60, 0, 0, 1)


def test_none_and_the_cause_is_told(books: Books) -> None:
    group = grouped([move(60), move(41), move(40)])
    assert books.decide(group) == [FAILED, POOR, FAILED]
    assert books.of("payer") == (100, 0, 0, 0)
    assert books.holds == {}


def test_a_failed_group_leaves_its_neighbours_alone(books: Books) -> None:
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


def test_a_failed_group_puts_back_what_this_batch_had_changed(books: Books) -> None:
    batch = [
        move(50, "h", kind=HOLD),
        on_hold(PARTIAL, 10),
        *grouped([on_hold(PARTIAL, 10), on_hold(RELEASE, 0), move(1_000)]),
        on_hold(PARTIAL, 40),
    ]
    assert books.decide(batch) == [CREATED, CREATED, FAILED, FAILED, POOR, CREATED]
    assert books.of("payer") == (50, 0, 0, 3)
    assert books.left("h") == 0


def test_a_failed_group_leaves_no_hold_whatever_it_refers_to(books: Books) -> None:
    odd = move(10, "h", kind=HOLD, hold_id=transfer_id("else"))
    assert books.decide(grouped([odd, move(1_000)])) == [FAILED, POOR]
    assert books.holds == {}


def test_a_retry_of_a_whole_group_exists(books: Books) -> None:
    group = grouped([move(10, "a"), move(10, "b")])
    assert books.decide(group) == [CREATED] * 2
    assert books.decide(group) == [EXISTS] * 2


def test_a_group_cannot_be_added_to(books: Books) -> None:
    books.decide(grouped([move(10, "a")]))
    assert books.decide(grouped([move(10, "a"), move(10, "b")])) == [EXISTS, FAILED]
    assert books.decide(grouped([move(10, "b")])) == [CREATED]


@pytest.mark.parametrize(
    ("second", "told"), [("the request", FAILED), ("another request", DIFFERENT)]
)
def test_an_id_twice_in_a_group_fails_it(books: Books, second: str, told: Verdict) -> None:
    """It was found in the group's own transfers, which are gone: `exists` would be a lie."""
    twice = [move(10, "a"), move(10, "a", fingerprint=fingerprint(second))]
    decision = books.decision(grouped(twice))
    assert verdicts(decision) == [FAILED, told]
    assert [outcome.transfer for outcome in decision.outcomes] == [None, None]
    assert books.journal == {}


def test_a_failed_group_is_decided_afresh(books: Books) -> None:
    group = grouped([move(60, "a"), move(60, "b")])
    assert books.decide(group) == [FAILED, POOR]
    assert books.decide([request("mint", "payer", 20), *group]) == [CREATED] * 3


def test_groups_side_by_side_are_two(books: Books) -> None:
    batch = [*grouped([move(10)], "one"), *grouped([move(1_000), move(10)], "two")]
    assert books.decide(batch) == [CREATED, POOR, FAILED]


def grouped(requests: Iterable[TransferRequest], name: str = "group") -> list[TransferRequest]:
    """Return the requests as one group."""
    return [replace(each, group_id=transfer_id(name)) for each in requests]
