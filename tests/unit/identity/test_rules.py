"""What a name, an address, a number and a password may be, and what a refresh token deserves."""

from datetime import timedelta
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guilder.identity import rules
from guilder.identity.rules import Turn

SURROGATE = "\ud800"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("First Payer", "First Payer"),
        ("  First \u00a0 Payer ", "First Payer"),
        ("Ame\u0301lie", "Am\u00e9lie"),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
        ("x" * 200, "x" * 200),
        ("x" * 201, None),
        ("", None),
        ("   ", None),
        ("two\nlines", None),
        ("nul\x00", None),
        (SURROGATE, None),
        ("turned \u202e around", None),
        ("line\u2028separator", None),
        ("\ue000", None),
    ],
)
def test_name(text: str, name: str | None) -> None:
    assert rules.normal_name(text) == name


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("Payer@Example.COM", "Payer@example.com"),
        ("payer@example.com", "payer@example.com"),
        ("p\u00e4yer@example.com", "p\u00e4yer@example.com"),
        ("x" * 250 + "@example.com", None),
        ("payer", None),
        ("payer@localhost", None),
        ("payer@[127.0.0.1]", None),
        ("payer@@example.com", None),
        ("payer@example.com\r\nBcc: x@example.com", None),
        ("payer\x00@example.com", None),
        (SURROGATE + "@example.com", None),
        ("", None),
    ],
)
def test_email(text: str, email: str | None) -> None:
    assert rules.normal_email(text) == email


def test_case_never_tells_two_addresses_apart() -> None:
    assert rules.email_key("PAYER@example.com") == rules.email_key("payer@example.com")
    assert rules.email_key("stra\u00dfe@example.com") == rules.email_key("STRASSE@example.com")


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("+1 (202) 555-0123", "+12025550123"),
        ("+12025550123", "+12025550123"),
        ("+49 151 12345678", "+4915112345678"),
        ("2025550123", None),
        ("+1 202 555 0123 ext. 5", None),
        ("+999", None),
        ("+1" + "2" * 40, None),
        ("payer", None),
        (SURROGATE, None),
        ("", None),
    ],
)
def test_phone(text: str, phone: str | None) -> None:
    assert rules.normal_phone(text) == phone


@given(st.text(max_size=80))
def test_whatever_is_typed_gets_an_answer(text: str) -> None:
    rules.normal_name(text)
    rules.normal_email(text)
    rules.normal_phone(text)


@given(st.text(min_size=1, max_size=50))
def test_what_is_normal_stays_as_it_is(text: str) -> None:
    name = rules.normal_name(text)
    assert name is None or rules.normal_name(name) == name
    assert rules.normal_password(rules.normal_password(text)) == rules.normal_password(text)


@pytest.mark.parametrize(
    ("text", "usable"),
    [("x", True), ("x" * 1024, True), ("", False), ("x" * 1025, False), (SURROGATE, False)],
)
def test_usable_password(text: str, usable: bool) -> None:
    assert rules.is_password_usable(text) is usable


GRACE = timedelta(seconds=10)
SOON = timedelta(seconds=10)
LATE = timedelta(seconds=10, milliseconds=1)


@pytest.mark.parametrize(
    ("is_live", "generation", "is_genuine", "since", "turn"),
    [
        (True, 3, True, LATE, Turn.ROTATE),
        (True, 3, False, SOON, Turn.INVALID),
        (True, 4, True, SOON, Turn.INVALID),
        (True, 2, True, SOON, Turn.REPEAT),
        (True, 2, True, -LATE, Turn.REPEAT),
        (True, 2, True, LATE, Turn.REUSED),
        (True, 2, False, SOON, Turn.REUSED),
        (True, 1, True, SOON, Turn.REUSED),
        *chain.from_iterable(
            [(False, 3, genuine, SOON, Turn.INVALID), (False, 1, genuine, LATE, Turn.INVALID)]
            for genuine in (True, False)
        ),
    ],
)
def test_refresh_turn(
    is_live: bool,
    generation: int,
    is_genuine: bool,
    since: timedelta,
    turn: Turn,
) -> None:
    decided = rules.refresh_turn(
        is_live=is_live,
        generation=generation,
        latest_generation=3,
        is_genuine=is_genuine,
        since_rotation=since,
        grace=GRACE,
    )
    assert decided is turn
