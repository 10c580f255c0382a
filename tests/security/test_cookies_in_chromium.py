"""T29 in a real browser: Chromium keeps our cookies on loopback, and other sites cannot use them.

The pages of the tests are made up by the test: Chromium asks the network for nothing.
"""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route

from guilder.identity.models import Session
from guilder.storage.base import Range
from tests.support.browser import SESSION
from tests.support.chromium import EXECUTABLE, chromium_browser
from tests.support.http import PASSWORD, Person, Running
from tests.support.late_money import fund

OURS = "/page-of-the-test"
ASK = """async ([method, path, body, headers]) => {
    const answer = await fetch(path, {
        method, credentials: "include",
        headers: {...(body ? {"Content-Type": "application/json"} : {}), ...headers},
        body: body && JSON.stringify(body)});
    const text = await answer.text();
    return [answer.status, text && text.startsWith("{") ? JSON.parse(text) : text];
}"""
STRANGER = """<form id="f" method="post" enctype="text/plain"></form><script>
    window.attack = async url => {
        for (const [method, mode, type] of [["POST", "no-cors", "text/plain"], ["GET", "no-cors"],
                                            ["POST", "cors", "application/json"],
                                            ["DELETE", "cors"]]) {
            // What comes back is kept from this page, whether it was done or not.
            await fetch(url, {method, mode, credentials: "include",
                headers: type ? {"Content-Type": type} : {},
                body: method === "POST" ? "{}" : undefined}).catch(() => null);
        }
    };
</script>"""

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="there is no chromium on this machine")


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    # It would stop scripts before they reach us, and not everybody's browser has it.
    async with chromium_browser("--disable-features=LocalNetworkAccessChecks") as browser:
        yield browser


@pytest.fixture
async def chromium(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context()
    context.set_default_timeout(30_000)
    yield context
    await context.close()


async def page_at(context: BrowserContext, url: str, html: str) -> Page:
    """Open a page that the test makes up."""

    async def answer(route: Route) -> None:
        await route.fulfill(body=html, content_type="text/html")

    page = await context.new_page()
    await page.route(url, answer)
    await page.goto(url)
    return page


async def ask(page: Page, method: str, path: str, body: object = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await page.evaluate(ASK, [method, path, body, named])


async def signed_in(guilder: Running, page: Page, person: Person) -> str:
    """Sign in as a page does; return the token for `CSRF-Token`."""
    body = {"email": person.user["email"], "password": PASSWORD}
    status, tokens = await ask(page, "POST", "/v1/login", body)
    assert status == 200
    trade = {"refresh_token": tokens["refresh_token"], "device_token": tokens["device_token"]}
    status, answer = await ask(page, "POST", SESSION, trade)
    assert status == 200, answer
    return str(answer["csrf_token"])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_chromium_keeps_secure_cookies_on_loopback(
    guilder: Running, chromium: BrowserContext, host: str
) -> None:
    person = await guilder.person()
    origin = f"http://{host}:{guilder.address[1]}"
    page = await page_at(chromium, origin + OURS, "<title>ours</title>")
    token = await signed_in(guilder, page, person)
    assert (await ask(page, "GET", "/v1/users/me"))[1]["id"] == person.user["id"]
    assert await page.evaluate("document.cookie") == f"__Host-guilder-csrf={token}"
    request = {"amount": 5, "currency": "USD"}
    key = secrets.token_hex(8)
    status, _ = await ask(page, "POST", "/v1/payment-requests", request, Idempotency_Key=key)
    assert status == 403
    status, _ = await ask(
        page, "POST", "/v1/payment-requests", request, Idempotency_Key=key, CSRF_Token=token
    )
    assert status == 201
    assert (await ask(page, "POST", f"{SESSION}/refresh", CSRF_Token=token))[0] == 200
    await page.evaluate("localStorage.setItem('kept', 'yes')")
    assert (await ask(page, "DELETE", SESSION, CSRF_Token=token))[0] == 204
    assert (await ask(page, "GET", "/v1/users/me"))[0] == 401
    assert await page.evaluate("document.cookie") == ""
    names = {each["name"] for each in await chromium.cookies()}
    assert names == {"__Host-guilder-device"}


async def test_another_site_in_the_same_browser_changes_nothing(
    guilder: Running, chromium: BrowserContext
) -> None:
    person = await guilder.person()
    await fund(guilder, person, 1000)
    port = guilder.address[1]
    ours = await page_at(chromium, f"http://127.0.0.1:{port}{OURS}", "<title>ours</title>")
    await signed_in(guilder, ours, person)
    before = await state_of(guilder, person, ours)
    paths = ("/v1/transfers", "/v1/sessions", SESSION, f"{SESSION}/refresh")
    # Another site; and another port of this one, which is the same site to a browser: it sends
    # even strict cookies there.
    for evil in ("http://evil.example/", f"http://127.0.0.1:{port - 1}/"):
        page = await page_at(chromium, evil, STRANGER)
        for path in paths:
            url = f"http://127.0.0.1:{port}{path}"
            await page.evaluate("url => attack(url)", url)
            # A form arrives, whatever the browser thinks of scripts.
            async with page.expect_navigation() as arrived:
                await page.evaluate("url => {f.action = url; f.submit()}", url)
            answer = await arrived.value
            assert answer.status in {401, 403, 405, 415, 422}, (evil, path)
            await page.goto(evil)
        await page.close()
    assert await state_of(guilder, person, ours) == before


async def state_of(guilder: Running, person: Person, page: Page) -> list[object]:
    sessions = await guilder.app.state.storage.documents(Session).page(
        {"user_id": person.user["id"]}, within=Range(field="created_at"), limit=100
    )
    answers = [await ask(page, "GET", path) for path in ("/v1/transactions", "/v1/users/me")]
    assert [status for status, _ in answers] == [200, 200]
    return [sorted((each.id, each.version) for each in sessions), answers]
