"""Decisions about passkeys."""

import pytest

from guilder.identity.factors.passkey_rules import RelyingParty, may_be_copied
from guilder.kernel.errors import InvariantViolation


@pytest.mark.parametrize(
    ("stored", "shown", "is_copy"),
    [(0, 0, False), (0, 1, False), (1, 2, False), (7, 7, True), (7, 6, True), (7, 0, True)],
)
def test_a_count_that_does_not_grow_tells_of_a_copy(
    stored: int, shown: int, *, is_copy: bool
) -> None:
    assert may_be_copied(stored=stored, shown=shown) is is_copy


def test_a_relying_party_has_origins_of_its_own() -> None:
    RelyingParty("example.com", "Pay", ("https://pay.example.com",))
    for origins in ((), ("https://other.example",), ("http://example.com",)):
        with pytest.raises(InvariantViolation):
            RelyingParty("example.com", "Pay", origins)
