"""T29: with somebody's cookies, another site changes nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from guilder.identity.cookies import ACCESS_COOKIE, CSRF_COOKIE
from guilder.identity.models import Session
from guilder.storage.base import Range
from guilder.web.openapi import operations
from tests.support.browser import SESSION, Browser, browser_of
from tests.support.http import Person, Running
from tests.support.late_money import fund

ORDER = {"amount": 10, "currency": "USD", "to": {"email": "somebody@example.com"}}
WRITES: tuple[tuple[str, str, object], ...] = (
    ("POST", "/v1/wallet/transfer", ORDER),
    ("POST", "/wallet/transfer", ORDER),
    ("POST", "/v1/transfers", ORDER),
    ("POST", "/v1/holds", ORDER),
    ("POST", "/v1/payment-requests", {"amount": 10, "currency": "USD"}),
    ("POST", "/v1/users/me/password", {"current_password": "a", "new_password": "b"}),
    ("POST", "/v1/users/me/email/resend", None),
    ("DELETE", "/v1/sessions", None),
    ("POST", f"{SESSION}/refresh", None),
    ("DELETE", SESSION, None),
)
"""The hot path, the framework's, those without a body, and those that read the other cookie."""


def attacks(browser: Browser, stranger: Browser) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what another site can have a browser send, and some things that it cannot."""
    ours = {"Origin": browser.origin, "Sec-Fetch-Site": "same-origin"}
    token = {"CSRF-Token": browser.csrf_token}
    host, port = browser.guilder.address
    yield "nothing but cookies", {}
    yield "our origin, no token", ours
    yield "an empty token", {**ours, "CSRF-Token": ""}
    yield "a stranger's token", {**ours, "CSRF-Token": stranger.csrf_token}
    yield "a token that is not ASCII", {**ours, "CSRF-Token": "\u00e4"}
    yield "a token cut short", {**ours, "CSRF-Token": browser.csrf_token[:-1]}
    yield "another site, with the token", {**token, "Origin": "https://evil.example"}
    yield "no site", {**token, "Origin": "null"}
    yield "an empty origin", {**token, "Origin": ""}
    yield "another port", {**token, "Origin": f"http://{host}:{port + 1}"}
    yield "a longer name", {**token, "Origin": f"http://{host}:{port}.evil.example"}
    yield "a name before ours", {**token, "Origin": f"http://evil.example@{host}:{port}"}
    yield "the browser says cross-site", {**ours, **token, "Sec-Fetch-Site": "cross-site"}
    yield "the browser says same-site", {**ours, **token, "Sec-Fetch-Site": "same-site"}
    yield "a method in a header", {**ours, "X-HTTP-Method-Override": "GET"}
    yield "a body of a form", {**ours, "Content-Type": "text/plain"}


async def state_of(guilder: Running, browser: Browser) -> list[Any]:
    """Return everything that the attacks are after."""
    sessions = await guilder.app.state.storage.documents(Session).page(
        {"user_id": browser.user["id"]}, within=Range(field="created_at"), limit=100
    )
    paths = ("/v1/wallet", "/v1/transactions", "/v1/payment-requests", "/v1/users/me")
    seen: list[Any] = [sorted((each.id, each.version) for each in sessions)]
    for path in paths:
        answer = await browser.send("GET", path)
        assert answer.status_code == 200, path
        seen.append(answer.json())
    for each in seen[1]["balances"]:
        del each["as_of"]  # When we looked.
    return seen


async def test_asvs_3_5_1_forged_requests_have_no_effect(guilder: Running) -> None:
    browser, stranger = await browser_of(guilder), await browser_of(guilder)
    await fund(guilder, Person(guilder.client, browser.user, ""), 1000)
    before = await state_of(guilder, browser)
    cookies = dict(browser.cookies)
    effects = []
    for method, path, body in WRITES:
        for name, headers in attacks(browser, stranger):
            key = {"Idempotency-Key": f"{method} {path} {name}"}
            answer = await browser.send(
                method, path, body, headers={**headers, **key}, is_ours=False
            )
            if answer.status_code != 403 or answer.json()["code"] != "csrf_refused":
                effects.append((method, path, name, answer.status_code))
    assert effects == []
    assert browser.cookies == cookies
    assert await state_of(guilder, browser) == before


async def test_the_same_requests_pass_when_a_page_of_ours_sends_them(guilder: Running) -> None:
    # Otherwise every refusal above would prove nothing.
    for method, path, body in WRITES:
        browser = await browser_of(guilder)
        headers = {"Idempotency-Key": f"ours {method} {path}"}
        answer = await browser.send(method, path, body, headers=headers)
        assert answer.status_code != 401, (path, answer.text)
        if answer.status_code >= 400:
            assert answer.json()["code"] != "csrf_refused", (method, path)


async def test_a_program_without_a_browser_needs_the_token_only(guilder: Running) -> None:
    browser = await browser_of(guilder)
    token = {"CSRF-Token": browser.csrf_token}
    answer = await browser.send("DELETE", "/v1/sessions", headers=token, is_ours=False)
    assert answer.status_code == 204


async def test_a_planted_cookie_is_no_token(guilder: Running) -> None:
    # A neighbour's site may be able to set a cookie; then cookie and header agree.
    browser, stranger = await browser_of(guilder), await browser_of(guilder)
    browser.cookies[CSRF_COOKIE] = stranger.cookies[CSRF_COOKIE]
    answer = await browser.send("DELETE", "/v1/sessions")
    assert answer.json()["code"] == "csrf_refused"


async def test_another_site_signs_nobody_in(guilder: Running) -> None:
    body = {"refresh_token": "whatever it is, it is not looked at"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        victim = Browser(guilder)
        answer = await victim.send("POST", SESSION, body, headers=headers, is_ours=False)
        assert answer.json()["code"] == "csrf_refused"
        assert victim.cookies == {}


@pytest.mark.parametrize("path", [SESSION, f"{SESSION}/refresh", "/v1/sessions"])
async def test_asvs_3_5_3_nothing_changes_by_get(guilder: Running, path: str) -> None:
    browser = await browser_of(guilder)
    before = await state_of(guilder, browser)
    for method in ("GET", "HEAD", "OPTIONS"):
        await browser.send(method, path, is_ours=False)
    assert await state_of(guilder, browser) == before


async def test_every_unsafe_route_with_a_cookie_asks_for_the_token(guilder: Running) -> None:
    browser = await browser_of(guilder)
    only_access = Browser(guilder, cookies={ACCESS_COOKIE: browser.cookies[ACCESS_COOKIE]})
    passed = []
    for path, method, operation in operations(guilder.app.openapi()):
        if method == "get" or not operation.get("security"):
            continue
        real = path.replace("{", "").replace("}", "")
        answer = await only_access.send(method.upper(), real, {}, is_ours=False)
        if answer.status_code != 403:
            passed.append((method, path, answer.status_code))
    assert passed == []
