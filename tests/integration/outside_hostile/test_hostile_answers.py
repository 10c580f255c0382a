"""Answers that are none, and companies that are not themselves: refused in time and size."""

import asyncio
import contextlib
import gzip
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from guilder.identity.outside.config import ProviderConfig
from guilder.identity.outside.errors import OutsideAnswerRefused, OutsideUnavailable
from guilder.identity.outside.exchange import Asked
from guilder.identity.outside.models import (
    AttemptSecrets,
)
from guilder.identity.outside.oidc import OidcProvider
from guilder.kernel.clock import utc_now
from tests.support.identity import HandClock
from tests.support.oidc import (
    CLIENT_ID,
    CLIENT_SECRET,
    Browser,
    Company,
    Facebook,
    new_key,
)
from tests.support.outside_people import REFUSED

BROKEN: dict[str, tuple[Callable[[], Response], str]] = {
    "no JSON": (lambda: Response(b"<html>"), "outside_answer_refused"),
    "a list": (lambda: JSONResponse([]), "outside_answer_refused"),
    "deep": (lambda: Response(b"[" * 100_000), "outside_answer_refused"),
    "not UTF-8": (lambda: Response(b'{"id_token": "\xff"}'), "outside_answer_refused"),
    "refused": (lambda: JSONResponse({}, status_code=403), "outside_answer_refused"),
    "trouble": (lambda: JSONResponse({}, status_code=502), "outside_unavailable"),
    "endless": (lambda: Response(b" " * 300_000), "outside_unavailable"),
    "a bomb": (
        lambda: Response(gzip.compress(b" " * 10**7), headers={"Content-Encoding": "gzip"}),
        "outside_unavailable",
    ),
    "elsewhere": (
        lambda: RedirectResponse("/stolen"),
        "outside_answer_refused",
    ),
}


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("broken", BROKEN)
async def test_row_71_answers_that_are_none(company: Company, client: Browser, broken: str) -> None:
    make, code = BROKEN[broken]
    # Half of them instead of the token, half instead of what is known of somebody.
    path = "/token" if list(BROKEN).index(broken) % 2 else "/userinfo"
    company.lies = {"email": ...}
    company.answers = {path: make()}
    told = await client.walk("company")
    # What authlib cannot read it reports as it likes.
    assert told["error"] in ({code, "outside_unavailable"} if path == "/token" else {code})
    assert "/stolen" not in company.asked


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("broken", ["no JSON", "refused", "trouble", "endless"])
async def test_facebook_answers_that_are_none(
    facebook: Facebook, client: Browser, broken: str
) -> None:
    make, code = BROKEN[broken]
    facebook.answers = {"/me": make()}
    assert await client.walk("facebook") == {"error": code}


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("said", [{"id": 10158}, {"id": "1" * 300}, {"name": "No id"}])
async def test_facebook_says_of_nobody(
    facebook: Facebook, client: Browser, said: dict[str, Any]
) -> None:
    facebook.answers = {"/me": JSONResponse(said)}
    assert await client.walk("facebook") == REFUSED


@pytest.mark.usefixtures("nothing_kept")
async def test_user_info_of_somebody_else(company: Company, client: Browser) -> None:
    company.lies = {"email": ...}
    company.answers = {
        "/userinfo": JSONResponse(
            {"sub": "another", "email": "another@example.com", "email_verified": True}
        )
    }
    assert await client.walk("company") == REFUSED


def provider_of(company: Company, clock: HandClock, **changes: Any) -> OidcProvider:
    """Return the company's side of ours, without a Guilder around it."""
    values: dict[str, Any] = {
        "name": "company",
        "label": "The Company",
        "issuer": company.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        **changes,
    }
    return OidcProvider(ProviderConfig(**values), clock=clock)


METADATA: dict[str, dict[str, Any]] = {
    "another issuer": {"issuer": "https://accounts.google.com"},
    "issuer with a slash": {"issuer": "http://127.0.0.1/"},
    "token in clear elsewhere": {"token_endpoint": "http://evil.example/token"},
    "keys in clear elsewhere": {"jwks_uri": "http://evil.example/jwks"},
    "page in clear elsewhere": {"authorization_endpoint": "http://evil.example/authorize"},
    "a file": {"jwks_uri": "file:///etc/passwd"},
    "no endpoint": {"token_endpoint": None},
}


@pytest.mark.parametrize("lie", METADATA.values(), ids=list(METADATA))
async def test_asvs_1_3_6_metadata_that_is_not_its_own(
    company: Company, lie: dict[str, Any]
) -> None:
    company.metadata = lie
    provider = provider_of(company, HandClock())
    with pytest.raises(OutsideAnswerRefused):
        await provider.authorization_url(asked())
    await provider.aclose()


async def test_a_company_that_hangs(company: Company) -> None:
    is_left = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        is_left.set()

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    issuer = f"http://127.0.0.1:{port}"
    provider = provider_of(company, HandClock(), issuer=issuer, total_timeout_s=0.2)
    with pytest.raises(OutsideUnavailable):
        await provider.authorization_url(asked())
    await provider.aclose()
    async with asyncio.timeout(5):
        await is_left.wait()
    silent.close()


async def test_keys_are_asked_for_once_a_minute(company: Company) -> None:
    clock = HandClock()
    clock.now = utc_now()
    provider = provider_of(company, clock)

    async def fetched(kid: str) -> int:
        before = company.asked.count("/jwks")
        with contextlib.suppress(OutsideAnswerRefused):
            await provider._keys.find(kid)
        return company.asked.count("/jwks") - before

    assert await fetched("first") == 1
    assert await fetched("first") == 0
    # Unknown names, however many, cost the company one request a minute.
    assert [await fetched(f"unknown {number}") for number in range(5)] == [0] * 5
    clock.move(minutes=1)
    assert [await fetched(f"unknown {number}") for number in range(5)] == [1, 0, 0, 0, 0]
    # It changes its key: known after a minute at most.
    company.published = [company.key, new_key("second")]
    clock.move(minutes=1)
    assert await fetched("second") == 1
    assert (await provider._keys.find("second")).algorithm == "RS256"
    await provider.aclose()


def asked() -> Asked:
    """Return an attempt."""
    secrets = AttemptSecrets(nonce="n" * 43, verifier="v" * 64)
    return Asked(state="s" * 43, secrets=secrets, callback="http://127.0.0.1/callback")
