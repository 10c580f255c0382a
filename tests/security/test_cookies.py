"""T29: sessions in cookies are kept from scripts, from other sites and from plain HTTP."""

from http.cookies import SimpleCookie

import httpx2

from guilder.identity.cookies import ACCESS_COOKIE, CSRF_COOKIE, REFRESH_COOKIE
from guilder.identity.devices import DEVICE_COOKIE
from tests.support.browser import SESSION, Browser, browser_of
from tests.support.http import PASSWORD, Running


def cookies_in(answer: httpx2.Response) -> dict[str, dict[str, str]]:
    """Return the attributes of every cookie that an answer sets."""
    found = {}
    for line in answer.headers.get_list("set-cookie"):
        for name, cookie in SimpleCookie(line).items():
            found[name] = {key: str(value) for key, value in cookie.items() if value}
    return found


async def test_asvs_3_3_1_to_4_cookies_are_secure_hidden_and_of_one_site(guilder: Running) -> None:
    person = await guilder.person()
    body = {"email": person.user["email"], "password": PASSWORD}
    tokens = (await guilder.client.post("/v1/login", json=body)).json()
    trade = {"refresh_token": tokens["refresh_token"], "device_token": tokens["device_token"]}
    answer = await guilder.client.post(SESSION, json=trade)
    guilder.client.cookies.clear()
    found = cookies_in(answer)
    assert set(found) == {ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE, DEVICE_COOKIE}
    assert answer.headers["cache-control"] == "no-store"
    for name, has in found.items():
        assert has["secure"], name
        assert has["samesite"] == "strict", name
        assert "domain" not in has, name
        assert bool(has.get("httponly")) == (name != CSRF_COOKIE), name
        assert has["path"] == (SESSION if name == REFRESH_COOKIE else "/"), name
    assert found[ACCESS_COOKIE]["max-age"] == str(tokens["expires_in"])
    assert tokens["access_token"] not in answer.text
    assert "glr1." not in answer.text


async def test_asvs_14_2_1_no_token_is_ever_in_an_answer_or_a_url(guilder: Running) -> None:
    browser = await browser_of(guilder)
    answer = await browser.send("POST", f"{SESSION}/refresh")
    assert answer.status_code == 200
    assert browser.cookies[REFRESH_COOKIE][0] not in answer.text
    assert browser.cookies[ACCESS_COOKIE][0] not in answer.text
    assert set(answer.json()) == {"csrf_token", "expires_in", "refresh_expires_in", "user"}


async def test_a_page_works_with_cookies_alone(guilder: Running) -> None:
    browser = await browser_of(guilder)
    me = await browser.send("GET", "/v1/users/me")
    assert me.json()["id"] == browser.user["id"]
    # No header is needed to look; a page that was just opened has none.
    assert (await browser.send("GET", "/v1/wallet", is_ours=False)).status_code == 200
    asked = {"amount": 5, "currency": "USD"}
    key = {"Idempotency-Key": "cookie request"}
    made = await browser.send("POST", "/v1/payment-requests", asked, headers=key)
    assert made.status_code == 201, made.text
    before = dict(browser.cookies)
    assert (await browser.send("POST", f"{SESSION}/refresh")).status_code == 200
    assert browser.cookies[ACCESS_COOKIE] != before[ACCESS_COOKIE]
    assert browser.cookies[REFRESH_COOKIE] != before[REFRESH_COOKIE]
    assert browser.cookies[CSRF_COOKIE] == before[CSRF_COOKIE]
    sessions = (await browser.send("GET", "/v1/sessions")).json()["data"]
    assert [each["is_current"] for each in sessions].count(True) == 1


async def test_asvs_14_3_1_signing_out_leaves_nothing_behind(guilder: Running) -> None:
    browser = await browser_of(guilder)
    kept = Browser(guilder, cookies=dict(browser.cookies))
    answer = await browser.send("DELETE", SESSION)
    assert answer.status_code == 204
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert set(browser.cookies) == {DEVICE_COOKIE}
    assert (await kept.send("GET", "/v1/users/me")).status_code == 401
    assert (await kept.send("POST", f"{SESSION}/refresh")).status_code == 401
    # Again, and for who never had one.
    assert (await browser.send("DELETE", SESSION)).status_code == 204
    assert (await kept.send("DELETE", SESSION)).status_code == 204


async def test_ending_ones_own_session_takes_its_cookies_back(guilder: Running) -> None:
    browser = await browser_of(guilder)
    sessions = (await browser.send("GET", "/v1/sessions")).json()["data"]
    mine = next(each["id"] for each in sessions if each["is_current"])
    other = next(each["id"] for each in sessions if not each["is_current"])
    answer = await browser.send("DELETE", f"/v1/sessions/{other}")
    assert (answer.status_code, "clear-site-data" in answer.headers) == (204, False)
    answer = await browser.send("DELETE", f"/v1/sessions/{mine}")
    assert (answer.status_code, "clear-site-data" in answer.headers) == (204, True)
    assert set(browser.cookies) == {DEVICE_COOKIE}


async def test_two_people_share_a_browser(guilder: Running) -> None:
    browser = await browser_of(guilder)
    first = browser.cookies[DEVICE_COOKIE][0]
    await browser.send("DELETE", SESSION)
    other = await guilder.person()
    await browser.sign_in(other.user["email"])
    tokens = browser.cookies[DEVICE_COOKIE][0].split(".")
    assert len(tokens) == 2
    assert first in tokens


async def test_a_bearer_token_wins_over_a_cookie_and_needs_no_csrf_token(guilder: Running) -> None:
    browser, person = await browser_of(guilder), await guilder.person()
    me = await browser.send("GET", "/v1/users/me", headers=person.headers)
    assert me.json()["id"] == person.user["id"]
    evil = {**person.headers, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    asked = {"amount": 5, "currency": "USD"}
    headers = {**evil, "Idempotency-Key": "bearer request"}
    made = await browser.send("POST", "/v1/payment-requests", asked, headers=headers, is_ours=False)
    assert made.status_code == 201
    broken = {"Authorization": "Bearer none"}
    assert (await browser.send("GET", "/v1/users/me", headers=broken)).status_code == 401


async def test_values_that_are_none_of_ours(guilder: Running) -> None:
    for value in ("", "x", "a.b.c", "\x7f" * 10, "A" * 5000):
        browser = Browser(guilder, cookies={ACCESS_COOKIE: (value, "/")})
        assert (await browser.send("GET", "/v1/users/me")).status_code in {400, 401}
        browser = Browser(guilder, cookies={REFRESH_COOKIE: (value, SESSION)})
        assert (await browser.send("POST", f"{SESSION}/refresh")).status_code in {400, 401}
