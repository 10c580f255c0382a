"""What an event may hold: ids and words of ours, nothing that people type."""

import pytest

from guilder.audit.rules import SYSTEM, UNKNOWN, check_event
from guilder.kernel.errors import InvariantViolation

USER = "user_01h2xcejqtf2nbrexx3vqjhp41"


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"reason": "password", "factor": "totp"},
        {"until": "2026-01-31T12:00:00.000Z", "amount": "1250", "currency": "EUR"},
        {"provider": "https://accounts.example.com", "scopes": "wallet:read,transfers:write"},
        {f"detail_{number}": "" for number in range(16)},
    ],
    ids=str,
)
@pytest.mark.parametrize("actor", [USER, UNKNOWN, SYSTEM])
def test_ids_and_words_of_ours_are_taken(actor: str, details: dict[str, str]) -> None:
    check_event("sign_in.refused", actor, USER, details)


@pytest.mark.parametrize(
    ("action", "actor", "subject", "details"),
    [
        ("opened", USER, USER, {}),
        ("Session.opened", USER, USER, {}),
        ("session.", USER, USER, {}),
        ("session opened.now", USER, USER, {}),
        ("a." + "b" * 200, USER, USER, {}),
        ("session.opened", "payer@example.com", USER, {}),
        ("session.opened", "", USER, {}),
        ("session.opened", USER, "+12025550123", {}),
        ("session.opened", USER, "First Payer", {}),
        ("session.opened", USER, USER, {"email": "payer@example.com"}),
        ("session.opened", USER, USER, {"phone": "+12025550123"}),
        ("session.opened", USER, USER, {"agent": "Mozilla/5.0 (X11)"}),
        ("session.opened", USER, USER, {"name": "Ünal"}),
        ("session.opened", USER, USER, {"word": "line\n"}),
        ("session.opened", USER, USER, {"word": 'quote"'}),
        ("session.opened", USER, USER, {"Word": "x"}),
        ("session.opened", USER, USER, {"a.b": "x"}),
        ("session.opened", USER, USER, {"word": "x" * 201}),
        ("session.opened", USER, USER, {f"detail_{number}": "" for number in range(17)}),
    ],
    ids=range(19),
)
def test_whatever_people_type_is_refused_and_not_repeated(
    action: str, actor: str, subject: str, details: dict[str, str]
) -> None:
    with pytest.raises(InvariantViolation) as refused:
        check_event(action, actor, subject, details)
    assert "@" not in str(refused.value)
    assert "+1" not in str(refused.value)
