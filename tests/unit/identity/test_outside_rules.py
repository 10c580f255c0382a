"""What is believed of what another company says, claim by claim."""

from datetime import UTC, datetime
from typing import Any

import pytest

from guilder.identity.outside import rules
from guilder.identity.outside.config import OutsideConfig, ProviderConfig, is_safe_url
from guilder.kernel.errors import InvariantViolation

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
GOOD: dict[str, Any] = {
    "iss": "https://id.example.com",
    "aud": "us",
    "sub": "somebody",
    "nonce": "n" * 43,
    "iat": SECONDS,
    "exp": SECONDS + 300,
}


def problem(claims: dict[str, Any]) -> str | None:
    return rules.claims_problem(
        claims, issuer="https://id.example.com", client_id="us", nonce="n" * 43, now=NOW
    )


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"aud": ["us"]},
        {"azp": "us"},
        {"exp": SECONDS - 59},
        {"iat": SECONDS + 60},
        {"iat": SECONDS - 600, "exp": SECONDS + 0.5},
        {"sub": "x" * 255},
        {"email_verified": False},
    ],
)
def test_claims_that_are_fine(change: dict[str, Any]) -> None:
    assert problem({**GOOD, **change}) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"iss": "https://id.example.com/"}, "issuer"),
        ({"iss": "https://accounts.google.com"}, "issuer"),
        ({"iss": ["https://id.example.com"]}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"aud": "them"}, "audience"),
        ({"aud": ["us", "them"]}, "audience"),
        ({"aud": ["us", "us"]}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": {"us": 1}}, "audience"),
        ({"aud": None}, "audience"),
        ({"azp": "them"}, "authorized_party"),
        ({"azp": None}, "authorized_party"),
        ({"nonce": "m" * 43}, "nonce"),
        ({"nonce": ""}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": "\u00e9" * 43}, "nonce"),
        ({"exp": None}, "time"),
        ({"exp": "4102444800"}, "time"),
        ({"exp": True}, "time"),
        ({"exp": 10**20}, "time"),
        ({"exp": -1}, "time"),
        ({"exp": float("nan")}, "time"),
        ({"exp": float("inf")}, "time"),
        ({"iat": None}, "time"),
        ({"iat": [SECONDS]}, "time"),
        ({"exp": SECONDS - 60}, "expired"),
        ({"exp": 1}, "expired"),
        ({"iat": SECONDS + 61}, "issued_at"),
        ({"iat": SECONDS - 661}, "issued_at"),
        ({"sub": None}, "subject"),
        ({"sub": ""}, "subject"),
        ({"sub": 42}, "subject"),
        ({"sub": "x" * 256}, "subject"),
        ({"sub": "some\u0000body"}, "subject"),
        ({"sub": "s\u00f3mebody"}, "subject"),
    ],
)
def test_claims_that_are_not(change: dict[str, Any], expected: str) -> None:
    assert problem({**GOOD, **change}) == expected


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "nonce", "iat", "exp"])
def test_claims_that_are_missing(name: str) -> None:
    assert problem({key: value for key, value in GOOD.items() if key != name}) is not None


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ({"kty": "RSA"}, "RS256"),
        ({"kty": "RSA", "alg": "PS384", "use": "sig"}, "PS384"),
        ({"kty": "EC", "crv": "P-256"}, "ES256"),
        ({"kty": "EC", "crv": "P-521", "alg": "ES512"}, "ES512"),
        ({"kty": "EC", "crv": "P-256", "alg": "ES384"}, None),
        ({"kty": "EC", "crv": "secp256k1"}, None),
        ({"kty": "RSA", "use": "enc"}, None),
        ({"kty": "RSA", "alg": "RS1"}, None),
        ({"kty": "RSA", "alg": "RSA-OAEP"}, None),
        ({"kty": "RSA", "alg": "HS256"}, None),
        ({"kty": "RSA", "alg": "none"}, None),
        ({"kty": "RSA", "alg": 256}, None),
        ({"kty": "oct", "k": "c2VjcmV0"}, None),
        ({"kty": "oct", "alg": "HS256"}, None),
        ({"kty": ["RSA"]}, None),
        ({}, None),
    ],
)
def test_the_key_says_the_algorithm(key: dict[str, Any], expected: str | None) -> None:
    assert rules.algorithm_of(key) == expected


@pytest.mark.parametrize(
    ("kind", "claims", "expected"),
    [
        ("oidc", {"email": "a@example.com", "email_verified": True}, True),
        ("oidc", {"email": "a@example.com", "email_verified": "true"}, False),
        ("oidc", {"email": "a@example.com", "email_verified": 1}, False),
        ("oidc", {"email": "a@example.com"}, False),
        ("oidc", {"email": "no address", "email_verified": True}, False),
        ("oidc", {"email": ["a@example.com"], "email_verified": True}, False),
        ("oidc", {"email_verified": True}, False),
        ("google", {"email": "a@gmail.com", "email_verified": True}, True),
        ("google", {"email": "A.B@Gmail.com", "email_verified": True}, True),
        ("google", {"email": "a@gmail.com.evil.example", "email_verified": True}, False),
        ("google", {"email": "a@notgmail.com", "email_verified": True}, False),
        ("google", {"email": "a@example.com", "email_verified": True}, False),
        ("google", {"email": "a@example.com", "email_verified": True, "hd": ""}, False),
        (
            "google",
            {"email": "a@example.com", "email_verified": True, "hd": "example.com"},
            True,
        ),
        ("google", {"email": "a@gmail.com", "email_verified": False}, False),
        ("facebook", {"email": "a@example.com", "email_verified": True}, False),
    ],
)
def test_who_vouches_for_an_address(kind: Any, claims: dict[str, Any], *, expected: bool) -> None:
    assert rules.is_email_shown(kind, claims) is expected


def test_names() -> None:
    assert rules.name_of({"name": " A  Friend "}, "Google") == "A Friend"
    for name in ("", "\u202eevil", "x" * 300, 42, None):
        assert rules.name_of({"name": name}, "Google") == "Google user"
    assert rules.name_of({}, "Google") == "Google user"


def test_verifiers() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert rules.is_verifier_of(verifier, challenge)
    assert not rules.is_verifier_of(verifier + "x", challenge)
    assert not rules.is_verifier_of(challenge, challenge)
    assert not rules.is_verifier_of("x" * 42, rules.challenge_of("x" * 42))
    assert not rules.is_verifier_of("x" * 129, rules.challenge_of("x" * 129))


@pytest.mark.parametrize(
    ("others", "is_verified", "password_suffices", "expected"),
    [
        (0, False, False, False),
        (1, False, False, True),
        (0, True, False, True),
        (0, False, True, True),
    ],
)
def test_ways_in(
    *, others: int, is_verified: bool, password_suffices: bool, expected: bool
) -> None:
    left = rules.leaves_a_way_in(
        others=others, is_verified=is_verified, password_suffices=password_suffices
    )
    assert left is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://id.example.com", True),
        ("https://id.example.com/realms/one", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost", True),
        ("http://[::1]:80", True),
        ("http://id.example.com", False),
        ("http://127.0.0.1.evil.example", False),
        ("https://user@id.example.com", False),
        ("https://id.example.com#x", False),
        ("ftp://localhost", False),
        ("https://", False),
    ],
)
def test_asvs_12_3_1_secrets_go_over_tls(url: str, *, expected: bool) -> None:
    assert is_safe_url(url) is expected


def config(**changes: Any) -> ProviderConfig:
    values: dict[str, Any] = {
        "name": "company",
        "label": "The Company",
        "issuer": "https://id.example.com",
        "client_id": "us",
        "client_secret": "a secret",
        **changes,
    }
    return ProviderConfig(**values)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Company"},
        {"name": "../company"},
        {"name": ""},
        {"issuer": "http://id.example.com"},
    ],
)
def test_providers_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(InvariantViolation):
        config(**change)


def test_a_provider_shows_no_secret() -> None:
    assert "a secret" not in repr(config())


@pytest.mark.parametrize("change", [{"issuer": "https://other.example.com"}, {"name": "other"}])
def test_providers_that_cannot_be_told_apart(change: dict[str, Any]) -> None:
    with pytest.raises(InvariantViolation):
        OutsideConfig(providers=(config(), config(**change)))
