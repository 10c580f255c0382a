"""Limits and reversals: what is counted, and what is refused because of it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from guilder.ledger.decide import Decision, decide
from guilder.ledger.limits import Limit, Measure, Window, reversal_counter_id
from guilder.ledger.models import TransferRequest, Verdict
from guilder.storage.records import GENESIS, Counter, TransferKind
from tests.support.books import NOON, account, request, transfer_id

CREATED, EXCEEDED = Verdict.CREATED, Verdict.LIMIT_EXCEEDED
TOO_MUCH, NO_ORIGINAL = Verdict.REVERSAL_EXCEEDS_ORIGINAL, Verdict.ORIGINAL_NOT_FOUND
DAILY = Limit(name="daily", subject="payer", maximum=100, window=Window.DAY)


def decided(*asked: TransferRequest, counters: dict[UUID, Counter] | None = None) -> Decision:
    accounts = (account("mint"), account("payer", posted=1_000), account("payee", posted=1_000))
    return decide(
        asked,
        accounts={each.id: each for each in accounts},
        holds={},
        counters=counters or {},
        existing={},
        head=GENESIS,
        now=NOON,
    )


def verdicts(*asked: TransferRequest, counters: dict[UUID, Counter] | None = None) -> list[Verdict]:
    return [outcome.verdict for outcome in decided(*asked, counters=counters).outcomes]


def limited(amount: int, limit: Limit = DAILY, **fields: Any) -> TransferRequest:
    return request("payer", "payee", amount, limits=(limit,), **fields)


def back(amount: int, of: str = "sale", **fields: Any) -> TransferRequest:
    return request("payee", "payer", amount, reverses_id=transfer_id(of), **fields)


SALE = request("payer", "payee", 60, id=transfer_id("sale"))


def test_a_limit_is_reached_to_its_last_unit_and_not_passed() -> None:
    assert verdicts(limited(60), limited(41), limited(40), limited(1)) == [
        CREATED,
        EXCEEDED,
        CREATED,
        EXCEEDED,
    ]


def test_the_outcome_names_the_limit() -> None:
    (outcome,) = decided(limited(101)).outcomes
    assert (outcome.verdict, outcome.limit, outcome.transfer) == (EXCEEDED, DAILY, None)


def test_what_was_counted_before_counts() -> None:
    counter_id = DAILY.counter_id("USD", NOON)
    counters = {counter_id: Counter(counter_id, 95)}
    decision = decided(limited(6), limited(5), counters=counters)
    assert [outcome.verdict for outcome in decision.outcomes] == [EXCEEDED, CREATED]
    assert decision.counters == {counter_id: Counter(counter_id, 100)}
    assert decision.transfers[0].counted[0].added == 5


def test_a_limit_of_one_transfer_counts_nothing() -> None:
    single = Limit(name="single", subject="payer", maximum=100, window=Window.TRANSFER)
    decision = decided(limited(100, single), limited(100, single), limited(101, single))
    assert [outcome.verdict for outcome in decision.outcomes] == [CREATED, CREATED, EXCEEDED]
    assert decision.counters == {}


def test_transfers_can_be_counted() -> None:
    twice = Limit(
        name="often", subject="payer", maximum=2, window=Window.EVER, measure=Measure.COUNT
    )
    assert verdicts(*(limited(50, twice) for _ in range(3))) == [CREATED, CREATED, EXCEEDED]


def test_holds_count_too() -> None:
    hold = limited(60, kind=TransferKind.HOLD)
    another = limited(41, kind=TransferKind.HOLD)
    assert verdicts(hold, limited(41), another, limited(40)) == [
        CREATED,
        EXCEEDED,
        EXCEEDED,
        CREATED,
    ]


def test_money_comes_before_limits() -> None:
    assert verdicts(limited(1_001)) == [Verdict.INSUFFICIENT_FUNDS]


def test_a_failed_group_counts_nothing() -> None:
    group = transfer_id("group")
    both = (
        limited(100, group_id=group),
        request("payer", "nobody", 1, group_id=group),
    )
    assert verdicts(*both, limited(100)) == [
        Verdict.GROUP_FAILED,
        Verdict.ACCOUNT_NOT_FOUND,
        CREATED,
    ]


@pytest.mark.parametrize(
    ("window", "later", "is_same"),
    [
        (Window.HOUR, timedelta(minutes=59), True),
        (Window.HOUR, timedelta(minutes=60), False),
        (Window.DAY, timedelta(hours=11), True),
        (Window.DAY, timedelta(hours=12), False),
        (Window.MONTH, timedelta(hours=11), True),
        (Window.MONTH, timedelta(days=1), False),
        (Window.EVER, timedelta(days=4_000), True),
    ],
)
def test_a_window_ends_with_the_calendar(window: Window, later: timedelta, is_same: bool) -> None:
    limit = Limit(name="any", subject="payer", maximum=1, window=window)
    same = limit.counter_id("USD", NOON) == limit.counter_id("USD", NOON + later)
    assert same is is_same


def test_counters_do_not_mix() -> None:
    def counter(**fields: Any) -> UUID:
        base = {"name": "n", "subject": "s", "maximum": 1, "window": Window.DAY}
        return Limit(**{**base, **fields}).counter_id("USD", NOON)

    ids = {
        counter(),
        counter(name="m"),
        counter(subject="t"),
        counter(window=Window.MONTH),
        counter(measure=Measure.COUNT),
        Limit(name="n", subject="s", maximum=1, window=Window.DAY).counter_id("EUR", NOON),
    }
    assert len(ids) == 6


def test_a_transfer_is_taken_back_in_parts_up_to_all_of_it() -> None:
    assert verdicts(SALE, back(20), back(41), back(40), back(1)) == [
        CREATED,
        CREATED,
        TOO_MUCH,
        CREATED,
        TOO_MUCH,
    ]


def test_how_much_was_taken_back_is_counted() -> None:
    decision = decided(SALE, back(20))
    counter_id = reversal_counter_id(SALE.id)
    assert decision.counters == {counter_id: Counter(counter_id, 20)}
    assert decision.transfers[1].reverses_id == SALE.id


@pytest.mark.parametrize(
    ("before", "reversal"),
    [
        ((), back(1)),
        ((SALE,), request("payer", "payee", 1, reverses_id=SALE.id)),
        ((SALE,), request("payee", "mint", 1, reverses_id=SALE.id)),
        (
            (SALE, back(60, id=transfer_id("back"))),
            request("payer", "payee", 1, reverses_id=transfer_id("back")),
        ),
        (
            (request("payer", "payee", 60, id=transfer_id("sale"), kind=TransferKind.HOLD),),
            back(1),
        ),
    ],
    ids=["unknown", "same way", "to somebody else", "of a reversal", "of a hold"],
)
def test_only_what_moved_the_other_way_is_taken_back(
    before: tuple[TransferRequest, ...], reversal: TransferRequest
) -> None:
    assert verdicts(*before, reversal)[-1] is NO_ORIGINAL


def test_what_a_capture_moved_is_taken_back() -> None:
    hold = request("payer", "payee", 60, kind=TransferKind.HOLD)
    capture = request(
        "payer",
        "payee",
        50,
        id=transfer_id("sale"),
        kind=TransferKind.CAPTURE,
        hold_id=hold.id,
    )
    assert verdicts(hold, capture, back(51), back(50)) == [CREATED, CREATED, TOO_MUCH, CREATED]
