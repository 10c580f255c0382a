"""What a message may be made of, whom it may reach, how often, and when it is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guilder.notifications.rules import (
    ADDRESS_MOST,
    BLOCK_MOST,
    LINK_MAX,
    NUMBER_MOST,
    Limit,
    address_limits,
    is_complete,
    is_link,
    mail_address,
    next_attempt,
    number_limits,
    one_line,
    refused_number,
    room,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  two   words ", "two words"),
        ("a\r\nBcc: b@example.com", "a Bcc: b@example.com"),
        ("a\u2028b\u2029c\x85d\x0be", "a b c d e"),
        ("safe\u202eexe.txt", "safe exe.txt"),
        ("\x00\x1b[31mred", "[31mred"),
        ("x" * 300, "x" * 199 + "…"),
        ("", ""),
    ],
)
def test_a_value_is_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


@given(st.text(alphabet=st.characters(codec=None)))
def test_no_value_breaks_a_line(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 200
    assert len(line.splitlines()) <= 1
    line.encode()  # Fails if a surrogate is left.


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("https://pay.example.com/reset#a", True),
        ("http://127.0.0.1:8000/x", True),
        ("javascript:alert(1)", False),
        ("https://pay.example.com/ x", False),
        ("https://pay.example.com/\nBcc: a@example.com", False),
        ("https://pay.example.com/\u202e", False),
        ("https://" + "x" * LINK_MAX, False),
        ("", False),
    ],
)
def test_a_link_is_an_address_of_the_web(text: str, is_one: bool) -> None:
    assert is_link(text) is is_one


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("+12025550123", None),
        ("+4915123456789", "country_not_allowed"),
        ("+18765550123", "country_not_allowed"),  # +1, and not the United States.
        ("2025550123", "number_invalid"),
        ("+1 202 555 0123", "number_invalid"),
        ("+12025550123\n", "number_invalid"),
        ("+1202555012٣", "number_invalid"),
        ("+10000000000", "number_invalid"),
        ("+19002345678", "number_not_allowed"),
        ("+18002345678", "number_not_allowed"),
        ("", "number_invalid"),
        ("whatsapp:+12025550123", "number_invalid"),
    ],
)
def test_only_telephones_of_our_countries_are_written_to(number: str, reason: str | None) -> None:
    assert refused_number(number, {"US"}) == reason


def test_without_a_list_every_country_is_written_to() -> None:
    assert refused_number("+4915123456789", ()) is None


@pytest.mark.parametrize(
    ("text", "address", "needs_utf8"),
    [
        ("payer@example.com", "payer@example.com", False),
        ("payer@bücher.example", "payer@xn--bcher-kva.example", False),
        ("ä@example.com", "ä@example.com", True),
    ],
)
def test_addresses_as_servers_take_them(text: str, address: str, needs_utf8: bool) -> None:
    found = mail_address(text)
    assert found is not None
    assert (found.text, found.needs_utf8) == (address, needs_utf8)


@pytest.mark.parametrize(
    "text",
    [
        "nobody",
        "a@b@example.com",
        "a@example.com>\r\nRCPT TO:<b@example.com",
        "a@example.com, b@example.com",
        "Payer <a@example.com>",
        '"a b"@example.com',
        "a" * 250 + "@example.com",
        "",
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert mail_address(text) is None


def test_a_number_has_three_brakes_and_an_address_one() -> None:
    limits = number_limits("+12025550123", country_most=7)
    assert [(limit.counted, limit.most) for limit in limits] == [
        ("number +12025550123", NUMBER_MOST),
        ("block +1202555", BLOCK_MOST),
        ("country US", 7),
    ]
    (limit,) = address_limits("Payer@Example.com")
    assert (limit.counted, limit.most) == ("address payer@example.com", ADDRESS_MOST)


LIMIT = Limit("number", 3, 10 * MINUTE)


def test_a_window_slides() -> None:
    sent: dict[str, datetime] = {}
    for number in range(3):
        after = room(sent, str(number), LIMIT, NOW + number * MINUTE)
        assert isinstance(after, dict)
        sent = after
    assert room(sent, "3", LIMIT, NOW + 3 * MINUTE) == NOW + 10 * MINUTE
    assert room(sent, "3", LIMIT, NOW + 10 * MINUTE - timedelta(milliseconds=1)) == (
        NOW + 10 * MINUTE
    )
    after = room(sent, "3", LIMIT, NOW + 10 * MINUTE)
    assert isinstance(after, dict)
    assert list(after) == ["1", "2", "3"]


def test_who_has_a_place_keeps_it() -> None:
    full = {"a": NOW, "b": NOW, "c": NOW}
    assert room(full, "b", LIMIT, NOW + MINUTE) == full


def test_a_lowered_limit_waits_for_all_that_are_too_many() -> None:
    sent = {"a": NOW, "b": NOW + MINUTE, "c": NOW + 2 * MINUTE}
    lowered = Limit("number", 1, 10 * MINUTE)
    assert room(sent, "d", lowered, NOW + 3 * MINUTE) == NOW + 12 * MINUTE


def test_retries_come_later_and_later_and_end() -> None:
    end = NOW + timedelta(hours=24)
    waits = []
    for attempts in range(1, 8):
        due_at = next_attempt(NOW, attempts=attempts, ends_at=end)
        assert due_at is not None
        waits.append((due_at - NOW).total_seconds())
    assert waits == [5, 30, 120, 600, 3600, 3600, 3600]
    assert next_attempt(NOW, attempts=4, ends_at=NOW + 10 * MINUTE) is None


def test_a_template_says_what_it_needs() -> None:
    assert is_complete("sign_in_code", {"code": "1"})
    assert not is_complete("sign_in_code", {"code": ""})
    assert is_complete("verify_email", {"link": "x"})
    assert is_complete("verify_email", {"code": "x"})
    assert not is_complete("verify_email", {})
    assert is_complete("account_closed", {})
