"""What keys look like, and what counts as more of them."""

import secrets
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guilder.api_keys.errors import (
    AddressNotAllowed,
    ApiKeyMade,
    QuotaExceeded,
    TooManyApiKeys,
)
from guilder.api_keys.rules import (
    Mode,
    RequestsPer,
    UsageLimits,
    budget_of,
    is_allowed,
    is_key,
    is_raised,
    is_widened,
    key_digest,
    lease_size,
    network_of,
    visible,
    window_ends,
    window_of,
    write_key,
)
from guilder.kernel.errors import InvariantViolation, Kind
from guilder.ledger.limits import Window
from tests.support.api_keys import budget, quota

NONE = UsageLimits()
DAY = RequestsPer.DAY


@given(st.binary(min_size=32, max_size=32), st.sampled_from(Mode))
def test_a_key_says_its_mode_and_checks_itself(secret: bytes, mode: Mode) -> None:
    key = write_key(mode, secret)
    assert key.startswith(f"glk_{mode}_")
    assert len(key) == 58
    assert is_key(key, mode)
    other = Mode.LIVE if mode is Mode.TEST else Mode.TEST
    assert not is_key(key, other)
    assert not is_key(key.replace(f"_{mode}_", f"_{other}_"), other), "the checksum covers the mode"


@given(st.binary(min_size=32, max_size=32), st.integers(9, 57), st.sampled_from("0aZ~"))
def test_a_typing_error_is_no_key(secret: bytes, place: int, character: str) -> None:
    key = write_key(Mode.TEST, secret)
    wrong = key[:place] + character + key[place + 1 :]
    assert is_key(wrong, Mode.TEST) == (wrong == key)


@pytest.mark.parametrize("text", ["", "glk_", "glk_test_", "glk_test_" + "0" * 49, "glk_prod_0"])
def test_what_is_no_key(text: str) -> None:
    assert not is_key(text, Mode.TEST)
    assert not is_key(text + "\n", Mode.TEST)


def test_different_secrets_give_different_keys_that_hide_them() -> None:
    keys = [write_key(Mode.LIVE, secrets.token_bytes(32)) for _ in range(100)]
    assert len({key_digest(key) for key in keys}) == 100
    assert all(len(key_digest(key)) == 64 for key in keys)
    assert all(len(visible(key)) == len("glk_live_") + 4 for key in keys)
    with pytest.raises(InvariantViolation):
        write_key(Mode.LIVE, bytes(31))


RAISED = [
    (NONE, quota(1), False),
    (NONE, budget(("USD", "day", 1)), False),
    (quota(2), quota(2), False),
    (quota(2), quota(1), False),
    (quota(2), quota(3), True),
    (quota(2), NONE, True),
    (quota(1440, DAY), quota(1), False),
    (quota(1439, DAY), quota(1), True),
    (quota(5), quota(5, DAY), False),
    (quota(5), quota(6, DAY), True),
    (budget(("USD", "day", 5)), budget(("USD", "day", 5)), False),
    (budget(("USD", "day", 5)), budget(("USD", "day", 4)), False),
    (budget(("USD", "day", 5)), budget(("USD", "day", 6)), True),
    (budget(("USD", "day", 5)), NONE, True),
    (budget(("USD", "day", 5)), budget(("EUR", "day", 1)), True),
    (budget(("USD", "day", 5)), budget(("USD", "day", 5), ("EUR", "day", 1)), True),
    (budget(("USD", "day", 5)), budget(("USD", "day", 5), ("USD", "ever", 9)), False),
    (budget(("USD", "day", 5)), budget(("USD", "month", 5)), True),
    (budget(("USD", "day", 5), ("USD", "ever", 9)), budget(("USD", "day", 5)), True),
    (budget(("USD", "day", 5), ("EUR", "day", 5)), budget(("EUR", "day", 5)), False),
]


@pytest.mark.parametrize(("before", "after", "expected"), RAISED)
def test_what_gives_a_key_more(before: UsageLimits, after: UsageLimits, *, expected: bool) -> None:
    assert is_raised(before, after) is expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], ["203.0.113.0/24"], False),
        ([], [], False),
        (["203.0.113.0/24"], [], True),
        (["203.0.113.0/24"], ["203.0.113.128/25"], False),
        (["203.0.113.0/24"], ["203.0.112.0/23"], True),
        (["203.0.113.0/24"], ["203.0.113.0/24", "198.51.100.1/32"], True),
        (["203.0.113.0/24"], ["2001:db8::/64"], True),
        (["203.0.113.0/24", "2001:db8::/32"], ["2001:db8::/64"], False),
    ],
)
def test_what_lets_more_clients_in(before: list[str], after: list[str], *, expected: bool) -> None:
    assert is_widened(before, after) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::/48", "2001:db8::/48"),
    ],
)
def test_blocks_of_addresses(text: str, expected: str) -> None:
    assert network_of(text) == ip_network(expected)


@pytest.mark.parametrize(
    "text",
    ["", "nowhere", "203.0.113.7/24", "203.0.113.0/33", "2001:db8::/96", "::ffff:203.0.113.7"],
)
def test_what_is_no_block(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        network_of(text)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.7", True),
        ("203.0.114.7", False),
        ("2001:db8:1:2::/64", True),
        ("2001:db9::/64", False),
        ("unknown", False),
        (None, False),
    ],
)
def test_where_a_key_may_be_used_from(address: str | None, *, expected: bool) -> None:
    networks = [network_of("203.0.113.0/24"), network_of("2001:db8::/32")]
    assert is_allowed(address, networks) is expected
    assert is_allowed(address, [])


def test_windows_are_calendar_time() -> None:
    now = datetime(2026, 1, 31, 23, 59, 30, tzinfo=UTC)
    midnight = datetime(2026, 2, 1, tzinfo=UTC)
    for per in RequestsPer:
        assert window_ends(per, now) == midnight
        assert window_of(per, midnight) > window_of(per, now)
    assert window_ends(DAY, midnight) == midnight + timedelta(days=1)


@given(st.integers(0, 10**9))
def test_a_lease_is_a_small_part_of_what_is_left(left: int) -> None:
    size = lease_size(left)
    assert (size == 0) == (left == 0)
    assert size <= max(1, left // 16)
    if left < 32:
        assert size <= 1


def test_a_budget_becomes_limits_of_the_key() -> None:
    limits = budget_of("key_1", budget(("USD", "day", 5), ("EUR", "ever", 7)))
    assert [
        (each.name, each.subject, each.maximum, each.window, each.asset) for each in limits
    ] == [
        ("api_key_day", "key_1", 5, Window.DAY, "USD"),
        ("api_key_ever", "key_1", 7, Window.EVER, "EUR"),
    ]
    assert budget_of("key_1", NONE) == ()


def test_the_errors_say_what_to_do() -> None:
    assert (QuotaExceeded.code, QuotaExceeded.kind) == ("quota_exceeded", Kind.LIMITED)
    assert AddressNotAllowed.code == "address_not_allowed"
    assert TooManyApiKeys.code == "too_many_api_keys"
    assert ApiKeyMade.code == "api_key_already_made"
