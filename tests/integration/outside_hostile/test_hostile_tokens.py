"""ID tokens that lie, or are not the company's: refused, and nothing is kept."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import OctKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.support.oidc import (
    CLIENT_ID,
    CLIENT_SECRET,
    Browser,
    Company,
    new_key,
)
from tests.support.outside_people import REFUSED

OTHER_KEY = new_key("first")
"""Another key under the same name."""


def unsigned(claims: dict[str, Any]) -> str:
    return f"{part({'alg': 'none', 'kid': 'first'})}.{part(claims)}."


def part(value: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def by_secret(claims: dict[str, Any]) -> str:
    key = OctKey.import_key(CLIENT_SECRET)
    return jwt.encode({"alg": "HS256", "kid": "first"}, claims, key)


def by_public_key(company: Company) -> Callable[[dict[str, Any]], str]:
    """The published key, taken for a shared secret."""
    raw = company.key.as_pem(private=False)

    def forged(claims: dict[str, Any]) -> str:
        # By hand: the library refuses to do it.
        signed = f"{part({'alg': 'HS256', 'kid': 'first'})}.{part(claims)}"
        seal = hmac.digest(raw, signed.encode(), "sha256")
        return f"{signed}.{urlsafe_b64encode(seal).decode().rstrip('=')}"

    return forged


def by_another_key(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "first"}, claims, OTHER_KEY)


def with_own_key(claims: dict[str, Any]) -> str:
    header = {"alg": "RS256", "kid": "first", "jwk": OTHER_KEY.as_dict(private=False)}
    return jwt.encode(header, claims, OTHER_KEY)


LIES: dict[str, dict[str, Any]] = {
    "nonce of another attempt": {"nonce": "of another attempt"},
    "no nonce": {"nonce": ...},
    "another audience": {"aud": "somebody else"},
    "an audience beside us": {"aud": [CLIENT_ID, "somebody else"]},
    "another authorized party": {"azp": "somebody else"},
    "expired": {"exp": int(time.time()) - 3_600},
    "another issuer": {"iss": "https://accounts.google.com"},
    "no subject": {"sub": ...},
}
"""One of each kind; `tests/unit/identity/test_outside_rules.py` has them all."""
HEADERS: dict[str, dict[str, Any]] = {
    "unknown key": {"kid": "second"},
    "key out of a path": {"kid": "../../first"},
    "critical header": {"crit": ["b64"], "b64": True},
}


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
async def test_claims(company: Company, client: Browser, lie: dict[str, Any]) -> None:
    company.lies = lie
    assert await client.walk("company") == REFUSED


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("header", HEADERS.values(), ids=list(HEADERS))
async def test_headers(company: Company, client: Browser, header: dict[str, Any]) -> None:
    if "crit" in header:
        company.forge = lambda claims: signed_with(company.key, header, claims)
    company.header = header
    assert await client.walk("company") == REFUSED


def signed_with(key: RSAKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    registry = JWSRegistry(algorithms=["RS256"], strict_check_header=False)
    raw = json.dumps(claims).encode()
    whole = {"alg": "RS256", "kid": "first", **header}
    return jws.serialize_compact(whole, raw, key, registry=registry)


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(
    "forge",
    [unsigned, by_secret, by_another_key, with_own_key, lambda _: "a.b.c", lambda _: "é"],
    ids=["none", "HS256 by secret", "another key", "own key", "garbage", "not ASCII"],
)
async def test_signatures(
    company: Company, client: Browser, forge: Callable[[dict[str, Any]], str]
) -> None:
    company.forge = forge
    assert await client.walk("company") == REFUSED


@pytest.mark.usefixtures("nothing_kept")
async def test_the_public_key_is_no_shared_secret(company: Company, client: Browser) -> None:
    company.forge = by_public_key(company)
    assert await client.walk("company") == REFUSED
