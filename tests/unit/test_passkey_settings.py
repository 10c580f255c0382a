"""Whom passkeys are made for, out of the settings."""

from typing import Any

import pytest
from pydantic import ValidationError

from guilder.settings import Settings


@pytest.mark.parametrize(
    ("given", "domain", "origins"),
    [
        ({}, "localhost", ("http://localhost:8000",)),
        ({"port": 80}, "localhost", ("http://localhost",)),
        ({"host": "::1"}, "localhost", ("http://localhost:8000",)),
        ({"public_url": "http://192.0.2.5:8000"}, "localhost", ("http://localhost:8000",)),
        ({"public_url": "https://pay.test/w"}, "pay.test", ("https://pay.test",)),
        (
            {"public_url": "https://pay.example.com", "passkey_domain": "example.com"},
            "example.com",
            ("https://pay.example.com",),
        ),
        (
            {
                "passkey_domain": "example.com",
                "passkey_origins": "https://a.example.com, https://b.example.com",
            },
            "example.com",
            ("https://a.example.com", "https://b.example.com"),
        ),
        (
            {"passkey_origins": "http://localhost:5173"},
            "localhost",
            ("http://localhost:5173",),
        ),
    ],
    ids=range(8),
)
def test_whom_passkeys_are_for(
    given: dict[str, Any], domain: str, origins: tuple[str, ...]
) -> None:
    assert Settings(**given).passkey_party == (domain, origins)


@pytest.mark.parametrize(
    "given",
    [
        {"passkey_domain": "example.com"},
        {"passkey_origins": "http://app.example.com"},
        {"passkey_origins": "https://a.example.com,https://b.example.com"},
        {"passkey_domain": "Example.com"},
        {"public_url": "https://pay.example.com", "passkey_domain": "other.example"},
        {"passkey_origins": "https://192.0.2.5"},
        {"passkey_origins": "nonsense"},
    ],
    ids=range(7),
)
def test_what_no_browser_would_take_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"passkey_|address"):
        Settings(**given)
