"""Every refusal has its error."""

import pytest

from guilder.kernel.errors import GuilderError, InvariantViolation, Kind
from guilder.ledger.errors import (
    IdempotencyKeyReused,
    LimitExceeded,
    OriginalNotFound,
    Overloaded,
    ReversalExceedsOriginal,
    refusal,
)
from guilder.ledger.models import Verdict

NO_REFUSALS = (Verdict.CREATED, Verdict.EXISTS)
REFUSALS = [verdict for verdict in Verdict if verdict not in NO_REFUSALS]


@pytest.mark.parametrize("verdict", REFUSALS)
def test_an_error_is_named_after_its_verdict(verdict: Verdict) -> None:
    error = refusal(verdict, "what to do")
    reused = verdict is Verdict.EXISTS_DIFFERENT
    assert error.code == (IdempotencyKeyReused.code if reused else verdict.value)
    assert error.detail == "what to do"
    assert error.kind not in (Kind.INTERNAL, Kind.UNAVAILABLE)
    assert not error.retryable


def test_each_refusal_has_its_own() -> None:
    assert len({type(refusal(verdict)) for verdict in REFUSALS}) == len(REFUSALS)


@pytest.mark.parametrize("verdict", NO_REFUSALS)
def test_what_is_in_the_journal_is_no_error(verdict: Verdict) -> None:
    with pytest.raises(InvariantViolation):
        refusal(verdict)


def test_without_a_detail_the_title_stands() -> None:
    error = refusal(Verdict.INSUFFICIENT_FUNDS)
    assert error.detail == error.title


def test_overloaded_is_worth_a_retry() -> None:
    error = Overloaded(retry_after_s=1)
    assert (error.retryable, error.kind, error.retry_after_s) == (True, Kind.UNAVAILABLE, 1)


@pytest.mark.parametrize(
    ("verdict", "error"),
    [
        (Verdict.LIMIT_EXCEEDED, LimitExceeded),
        (Verdict.ORIGINAL_NOT_FOUND, OriginalNotFound),
        (Verdict.REVERSAL_EXCEEDS_ORIGINAL, ReversalExceedsOriginal),
    ],
)
def test_counted_refusals_have_their_errors(verdict: Verdict, error: type[GuilderError]) -> None:
    assert type(refusal(verdict)) is error
