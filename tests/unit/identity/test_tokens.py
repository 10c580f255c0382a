"""Access tokens: what is issued is accepted until it expires, and nothing else ever is."""

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey

from guilder.identity.authentication import Principal
from guilder.identity.config import SigningKey
from guilder.identity.errors import Unauthenticated
from guilder.identity.roles import Role
from guilder.identity.tokens import AccessTokens
from guilder.kernel.ids import SessionId, UserId, WalletId
from tests.support.identity import HandClock

ED = SigningKey(b"first secret of the tests, 32 bytes or more", "Ed25519")
HS = SigningKey(b"second secret of the tests, 32 bytes or more", "HS256")
ALICE = Principal(UserId("user_a"), WalletId("wallet_a"), SessionId("session_a"))


def made(
    clock: HandClock, *keys: SigningKey, cache_size: int = 8, audience: str = "api"
) -> AccessTokens:
    return AccessTokens(
        keys=keys or (ED, HS),
        issuer="tests",
        audience=audience,
        ttl_s=900,
        clock=clock,
        cache_size=cache_size,
    )


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=="))


def signed(
    key: SigningKey,
    header: dict[str, Any],
    claims: object,
    *,
    algorithm: str | None = None,
) -> str:
    """Sign anything with one of our own keys, as no attacker can."""
    own = (
        OctKey.import_key(key.key)
        if key.algorithm == "HS256"
        else OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(key.key))
    )
    payload = json.dumps(claims).encode()
    registry = jws.JWSRegistry(algorithms=[algorithm or key.algorithm], strict_check_header=False)
    return jws.serialize_compact(header, payload, own, registry=registry)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.mark.parametrize("key", [ED, HS], ids=["Ed25519", "HS256"])
def test_issued_is_accepted(clock: HandClock, key: SigningKey) -> None:
    tokens = made(clock, key)
    token = tokens.issue(ALICE)
    assert tokens.verify(token) == ALICE
    assert made(clock, key).verify(token) == ALICE
    header, claims = (decode(part) for part in token.split(".")[:2])
    assert header == {"alg": key.algorithm, "kid": key.kid, "typ": "at+jwt"}
    registered = {"iss", "aud", "sub", "jti", "iat", "nbf", "exp"}
    assert set(claims) == registered | {"wid", "sid", "role", "ver", "mfa"}
    assert claims["exp"] - claims["iat"] == 900


def test_a_token_carries_the_role_and_the_version_of_the_rights_it_was_made_of(
    clock: HandClock,
) -> None:
    tokens = made(clock)
    operator = replace(ALICE, role=Role.OPERATOR, rights_version=3)
    for principal in (operator, replace(operator, has_second_factor=True)):
        assert tokens.verify(tokens.issue(principal)) == principal


def test_asvs_7_3_2_no_token_outlives_its_session(clock: HandClock) -> None:
    tokens = made(clock)
    token = tokens.issue(ALICE, until=clock() + timedelta(seconds=60))
    clock.move(seconds=59)
    assert tokens.verify(token) == ALICE
    clock.move(seconds=1)
    with pytest.raises(Unauthenticated):
        tokens.verify(token)
    assert tokens.verify(tokens.issue(ALICE, until=clock() + timedelta(days=1))) == ALICE


def test_two_tokens_of_one_moment_differ(clock: HandClock) -> None:
    tokens = made(clock)
    assert tokens.issue(ALICE) != tokens.issue(ALICE)


@pytest.mark.parametrize("is_remembered", [True, False])
def test_asvs_9_2_1_expires_to_the_second(clock: HandClock, is_remembered: bool) -> None:
    tokens = made(clock)
    token = tokens.issue(ALICE)
    clock.move(milliseconds=899_999)
    if is_remembered:
        assert tokens.verify(token) == ALICE
    clock.move(milliseconds=1)
    with pytest.raises(Unauthenticated):
        tokens.verify(token)


def test_a_slightly_fast_clock_elsewhere_is_forgiven(clock: HandClock) -> None:
    tokens = made(clock)
    clock.move(seconds=5)
    token, early = tokens.issue(ALICE), made(clock)
    clock.move(seconds=-5)
    assert early.verify(token) == ALICE
    clock.move(seconds=-1)
    with pytest.raises(Unauthenticated):
        made(clock).verify(token)


def test_a_new_key_signs_while_the_old_one_verifies(clock: HandClock) -> None:
    old = made(clock, ED).issue(ALICE)
    both = made(clock, HS, ED)
    assert both.verify(old) == ALICE
    assert both.verify(both.issue(ALICE)) == ALICE
    with pytest.raises(Unauthenticated):
        made(clock, HS).verify(old)


def test_memory_of_verified_tokens_is_bounded(clock: HandClock) -> None:
    tokens = made(clock, HS, cache_size=3)
    first, *rest = [tokens.issue(ALICE) for _ in range(5)]
    tokens.verify(first)
    for token in rest:
        tokens.verify(token)
        tokens.verify(first)
    assert len(tokens._cache) == 3
    assert first in tokens._cache


def test_refused_tokens_are_not_remembered(clock: HandClock) -> None:
    tokens = made(clock)
    with pytest.raises(Unauthenticated):
        tokens.verify("a.b.c")
    assert not tokens._cache


def _claims(clock: HandClock) -> dict[str, Any]:
    now = int(clock().timestamp())
    return {
        "iss": "tests",
        "aud": "api",
        "sub": "user_a",
        "wid": "wallet_a",
        "sid": "session_a",
        "jti": "j",
        "iat": now,
        "nbf": now,
        "exp": now + 900,
    }


_HEADER = {"alg": "HS256", "kid": HS.kid, "typ": "at+jwt"}


def test_the_forger_s_tools_work(clock: HandClock) -> None:
    # Otherwise every refusal below would prove nothing.
    assert made(clock).verify(signed(HS, _HEADER, _claims(clock))) == ALICE


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "others"},
        {"aud": "others"},
        {"aud": ["api"]},
        {"exp": 1},
        {"exp": None},
        {"exp": 10**30},
        {"exp": 10**15},
        {"exp": True},
        {"exp": "2099"},
        {"nbf": 10**10},
        {"iat": 10**10},
        {"nbf": 0},
        {"sub": 5},
        {"sid": None},
        {"scope": "admin"},
        {"role": "god"},
        {"role": None},
        {"ver": "1"},
        {"mfa": 1},
    ],
    ids=str,
)
def test_asvs_9_2_3_claims_that_are_not_ours(clock: HandClock, change: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        made(clock).verify(signed(HS, _HEADER, _claims(clock) | change))


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "wid", "sid", "jti", "iat", "nbf", "exp"])
def test_every_claim_is_needed(clock: HandClock, missing: str) -> None:
    claims = {name: value for name, value in _claims(clock).items() if name != missing}
    with pytest.raises(Unauthenticated):
        made(clock).verify(signed(HS, _HEADER, claims))


@pytest.mark.parametrize(
    "change",
    [
        {"typ": "JWT"},
        {"typ": "at+JWT"},
        {"typ": None},
        {"kid": "../../../dev/null"},
        {"kid": "' OR 1=1 --"},
        {"kid": ""},
        {"kid": ED.kid},
        {"jku": "https://example.com/keys"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5u": "https://example.com/cert"},
        {"crit": ["exp"]},
        {"b64": False},
        {"zip": "DEF"},
    ],
    ids=str,
)
def test_asvs_9_2_2_headers_that_are_not_ours(clock: HandClock, change: dict[str, Any]) -> None:
    header = encode(json.dumps(_HEADER | change).encode())
    body = encode(json.dumps(_claims(clock)).encode())
    seal = encode(hmac.digest(HS.key, f"{header}.{body}".encode(), "sha256"))
    with pytest.raises(Unauthenticated):
        made(clock).verify(f"{header}.{body}.{seal}")


@pytest.mark.parametrize("algorithm", ["none", "None", "HS384", "RS256", "EdDSA", "Ed25519", ""])
@pytest.mark.parametrize("kid", [HS.kid, ED.kid])
def test_asvs_9_1_2_algorithm_is_fixed_by_the_key(
    clock: HandClock, algorithm: str, kid: str
) -> None:
    if (algorithm, kid) == ("Ed25519", ED.kid):
        pytest.skip("that one is right")
    header = encode(json.dumps({"alg": algorithm, "kid": kid, "typ": "at+jwt"}).encode())
    body = encode(json.dumps(_claims(clock)).encode())
    for seal in ("", encode(b"\0" * 32), encode(b"\0" * 64)):
        with pytest.raises(Unauthenticated):
            made(clock).verify(f"{header}.{body}.{seal}")


def test_a_right_seal_of_another_algorithm_is_refused(clock: HandClock) -> None:
    header = encode(json.dumps(_HEADER | {"alg": "HS384"}).encode())
    body = encode(json.dumps(_claims(clock)).encode())
    seal = encode(hmac.digest(HS.key, f"{header}.{body}".encode(), "sha384"))
    with pytest.raises(Unauthenticated):
        made(clock).verify(f"{header}.{body}.{seal}")


def test_public_key_is_no_hmac_key(clock: HandClock) -> None:
    public = Ed25519PrivateKey.from_private_bytes(ED.key).public_key().public_bytes_raw()
    for algorithm in ("HS256", "Ed25519"):
        head = encode(json.dumps({"alg": algorithm, "kid": ED.kid, "typ": "at+jwt"}).encode())
        body = encode(json.dumps(_claims(clock)).encode())
        seal = encode(hmac.digest(public, f"{head}.{body}".encode(), "sha256"))
        with pytest.raises(Unauthenticated):
            made(clock).verify(f"{head}.{body}.{seal}")


def _swap_payload(token: str) -> str:
    head, body, seal = token.split(".")
    claims = decode(body) | {"sub": "user_b"}
    return f"{head}.{encode(json.dumps(claims).encode())}.{seal}"


@pytest.mark.parametrize(
    "tamper",
    [
        _swap_payload,
        lambda token: token[:-3],
        lambda token: token + "A" * 2048,
        lambda token: token + "A",
        lambda token: token + ".",
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: token.rpartition(".")[0],
        lambda token: " " + token,
        lambda token: token.replace(".", ".."),
        lambda token: "\u00e4" + token,
        lambda _: "",
        lambda _: "..",
        lambda _: "bnVsbA.bnVsbA.bnVsbA",
        lambda _: encode(b"[]") + ".e30.e30",
        lambda _: encode(b"{" * 5000) + ".e30.e30",
        lambda _: encode(b'{"alg":"\xff"}') + ".e30.e30",
    ],
)
def test_asvs_9_1_1_tampered(clock: HandClock, tamper: Callable[[str], str]) -> None:
    tokens = made(clock)
    token = tokens.issue(ALICE)
    tokens.verify(token)
    with pytest.raises(Unauthenticated):
        tokens.verify(tamper(token))


def test_every_changed_character_is_noticed(clock: HandClock) -> None:
    tokens = made(clock, HS)
    token = tokens.issue(ALICE)
    for place, character in enumerate(token[:-1]):
        other = "A" if character != "A" else "B"
        with pytest.raises(Unauthenticated):
            tokens.verify(token[:place] + other + token[place + 1 :])
