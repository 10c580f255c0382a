"""What must never be in a log is not, whatever name it came under."""

import json

import pytest

from guilder.middlewares.redaction import redact, redact_text

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyXzEifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("token " + JWT, JWT),
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("the key glk_live_5gVzUfQm0cJ8rWtX2nHk was used", "5gVzUfQm0cJ8"),
        ("sent to payer@example.com today", "payer@example.com"),
        ("postgresql://app:hunter2@db.internal/guilder", "hunter2"),
        ("call +49 151 23456789 now", "23456789"),
        ("card 4242424242424242 declined", "4242424242424242"),
        ("card 4242 4242 4242 4242", "4242 4242"),
        ("card 5555-5555-5555-4444.", "5555-4444"),
    ],
)
def test_secrets_in_text_are_replaced(text: str, secret: str) -> None:
    cleaned = redact_text(text)
    assert secret not in cleaned
    assert "[redacted]" in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "transfer_01h455vb4pex5vsknk084sn02q committed",
        "position 123456789012",
        "batch of 8192 in 35 ms",
        "4242424242424241 has a wrong check digit",
        "2026-11-22T08:00:00.123Z",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "name",
    ["password", "new_password", "refresh_token", "Authorization", "api_key", "apikey",
     "email", "e_mail", "phone", "card_number", "cvv", "pepper", "signing_key", "set-cookie",
     "database_url"],
)  # fmt: skip
def test_sensitive_names_hide_any_value(name: str) -> None:
    event = redact(
        None, "info", {name: "innocent", "nested": {name: ["also"]}, "n": {"a": [{name: 7}]}}
    )
    assert event[name] == "[redacted]"
    assert "also" not in json.dumps(event)
    assert event["n"] == {"a": [{name: "[redacted]"}]}


def test_objects_are_read_as_text() -> None:
    event = redact(
        None, "error", {"error": ValueError("payer@example.com"), "count": 3, "ok": True}
    )
    assert event == {"error": "[redacted]", "count": 3, "ok": True}


def test_depth_is_bounded() -> None:
    deep: dict[str, object] = {}
    inner = deep
    for _ in range(50):
        inner["x"] = {}
        inner = inner["x"]  # type: ignore[assignment]
    inner["x"] = "payer@example.com"
    assert "payer@" not in json.dumps(redact(None, "info", {"deep": deep}))
