"""Settings of sessions: what would sign busy people out, or sign with what can be guessed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr, ValidationError

from guilder.app.services import identity_config
from guilder.app.sessions import signing_keys
from guilder.identity.models import Session
from guilder.identity.roles import Role
from guilder.server_secrets import Secrets
from guilder.settings import Settings

KEY = SecretStr("a signing key for tests, long enough")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"session_idle_s": 600}, "at least access_ttl_s"),
        ({"session_idle_s": 0}, "session_idle_s"),
        ({"signing_key_next": "too short"}, "signing_key_next"),
        ({"signing_algorithm_previous": "none"}, "signing_algorithm_previous"),
        ({"refresh_ttl_s": 1}, "refresh_ttl_s"),
        ({"staff_session_ttl_s": 1}, "staff_session_ttl_s"),
    ],
    ids=str,
)
def test_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as caught:
        Settings(**wrong)
    assert "too short" not in str(caught.value)


def test_asvs_7_3_1_and_2_sessions_end_by_default_as_suggested() -> None:
    settings = Settings()
    assert (settings.access_ttl_s, settings.session_idle_s) == (15 * 60, 3600)
    assert (settings.refresh_ttl_s, settings.staff_session_ttl_s) == (24 * 3600, 12 * 3600)


def secrets() -> Secrets:
    return Secrets(
        signing_key=KEY,
        pepper=KEY,
        simulator_webhook_secret=KEY,
        checkpoint_key=KEY,
        encryption_keys=(KEY,),
    )


def test_what_is_said_of_staff_is_told_to_identity() -> None:
    config = identity_config(Settings(), secrets())
    assert config.staff_second_factor_required
    assert config.session_ttl(Role.OPERATOR) == timedelta(hours=12)
    assert config.session_ttl(Role.USER) == timedelta(days=1)
    looser = Settings(staff_second_factor_required=False, staff_session_ttl_s=86_400)
    config = identity_config(looser, secrets())
    assert not config.staff_second_factor_required
    assert config.session_ttl(Role.SUPPORT) == timedelta(days=1)
    short = identity_config(Settings(refresh_ttl_s=3_600), secrets())
    assert short.session_ttl(Role.AUDITOR) == timedelta(hours=1)


def test_a_session_stored_before_there_was_the_mark_counts_as_without() -> None:
    now = datetime(2026, 1, 31, tzinfo=UTC)
    stored = {
        "id": "session_a",
        "created_at": now,
        "updated_at": now,
        "user_id": "user_a",
        "wallet_id": "wallet_a",
        "generation": 1,
        "token_hash": "",
        "rotated_at": now,
        "expires_at": now,
    }
    assert msgspec.convert(stored, Session).has_second_factor is False


def test_the_first_key_signs_and_the_others_verify() -> None:
    settings = Settings(
        signing_algorithm="Ed25519",
        signing_key_next=SecretStr("b" * 32),
        signing_key_previous=SecretStr("c" * 32),
        signing_algorithm_previous="HS256",
    )
    keys = signing_keys(settings, secrets())
    assert [(key.secret[:1], key.algorithm) for key in keys] == [
        (b"a", "Ed25519"),
        (b"b", "Ed25519"),
        (b"c", "HS256"),
    ]
    before = Settings(signing_key_previous=SecretStr("c" * 32))
    assert [key.algorithm for key in signing_keys(before, secrets())] == ["HS256", "HS256"]
