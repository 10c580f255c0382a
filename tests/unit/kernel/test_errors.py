"""The error tree and `check`."""

import pytest

from guilder.kernel.errors import (
    FieldError,
    GuilderError,
    InvalidRequest,
    InvariantViolation,
    Kind,
    Malformed,
    NotFound,
    Unavailable,
    check,
)


@pytest.mark.parametrize(
    ("error", "code", "kind", "retryable"),
    [
        (GuilderError, "internal", Kind.INTERNAL, False),
        (InvalidRequest, "invalid", Kind.INVALID, False),
        (Malformed, "malformed", Kind.MALFORMED, False),
        (NotFound, "not_found", Kind.NOT_FOUND, False),
        (Unavailable, "unavailable", Kind.UNAVAILABLE, True),
    ],
)
def test_codes_and_kinds_are_stable(
    error: type[GuilderError], code: str, kind: Kind, retryable: bool
) -> None:
    assert (error.code, error.kind, error.retryable) == (code, kind, retryable)


def test_without_a_detail_the_title_speaks() -> None:
    error = NotFound()

    assert error.detail == str(error) == "Not found"
    assert error.fields == ()
    assert error.retry_after_s is None


def test_an_error_keeps_what_it_was_given() -> None:
    field = FieldError("/amount", "amount_invalid", "Send a whole number.")
    error = InvalidRequest("Look at the amount.", fields=(field,), retry_after_s=3)

    assert error.detail == str(error) == "Look at the amount."
    assert error.fields == (field,)
    assert error.retry_after_s == 3


def test_check_passes_what_holds() -> None:
    check(condition=True, message="never read")


@pytest.mark.parametrize("condition", [False, 0, None, ""])
def test_check_raises_our_own_fault(condition: object) -> None:
    with pytest.raises(InvariantViolation, match="the books balance") as caught:
        check(condition, "the books balance")

    assert not isinstance(caught.value, GuilderError)
