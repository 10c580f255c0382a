"""Browsers that are lured, and answers that come twice or too late: nothing is kept."""

import asyncio
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from guilder.audit.trail import Search
from guilder.identity.housekeeping import Housekeeping
from guilder.identity.outside.models import (
    OutsideAnswer,
    OutsideAttempt,
)
from guilder.kernel.clock import utc_now
from tests.support.http import Running
from tests.support.identity import HandClock
from tests.support.oidc import (
    RETURN_URL,
    Browser,
    Company,
    s256,
)
from tests.support.outside_people import REFUSED, assert_problem, written


@pytest.mark.usefixtures("nothing_kept")
async def test_mix_up_by_the_issuer_parameter(
    company: Company, other: Company, client: Browser
) -> None:
    """RFC 9207: the browser was sent to one company and comes from another."""
    company.reply = {"iss": other.issuer}
    assert await client.walk("company") == REFUSED
    company.reply = {"iss": None}
    assert await client.walk("company") == REFUSED
    # An error may be another's, too.
    company.reply = {"iss": other.issuer, "error": "access_denied", "code": None}
    assert await client.walk("company") == REFUSED


@pytest.mark.usefixtures("nothing_kept")
async def test_mix_up_by_the_callback(other: Company, client: Browser) -> None:
    """The other company brings the state of an attempt at the first to its own callback."""
    started = (await client.start("company")).headers["location"]
    state = parse_qs(urlsplit(started).query)["state"][0]
    query = urlencode({"state": state, "code": "of the other", "iss": other.issuer})
    answer = await client.api.get(f"/v1/auth/outside/other/callback?{query}")
    assert_problem(answer, 410, "outside_attempt_invalid")
    # And the attempt is over.
    answer = await client.api.get(await client.to_callback(started))
    assert_problem(answer, 410, "outside_attempt_invalid")


@pytest.mark.usefixtures("nothing_kept")
async def test_the_company_must_see_our_verifier(company: Company, client: Browser) -> None:
    """A code that was stolen elsewhere is of no use here: PKCE binds it to its own attempt."""
    first = await client.to_callback((await client.start("company")).headers["location"])
    second = await client.to_callback((await client.start("company")).headers["location"])
    stolen = parse_qs(urlsplit(first).query)["code"][0]
    own = parse_qs(urlsplit(second).query)["code"][0]
    assert await client.back(second.replace(own, stolen)) == REFUSED
    assert company.problems == []


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("error", ["server_error", "login_required", "<script>", "access_denied "])
async def test_other_errors_of_a_company(company: Company, client: Browser, error: str) -> None:
    company.reply = {"code": None, "error": error, "error_description": "https://evil.example"}
    assert await client.walk("company") == REFUSED


async def test_a_state_is_good_once(client: Browser) -> None:
    url = await client.to_callback((await client.start("company")).headers["location"])
    assert set(await client.back(url)) == {"code"}
    answer = await client.api.get(url)
    assert_problem(answer, 410, "outside_attempt_invalid")


async def test_many_with_one_state_get_one_answer(
    company: Company, guilder: Running, client: Browser
) -> None:
    url = await client.to_callback((await client.start("company")).headers["location"])
    before, tokens = await written(guilder), company.asked.count("/token")
    answers = await asyncio.gather(*(client.api.get(url) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [303, *([410] * 7)]
    after = await written(guilder)
    assert after[-1] == before[-1] + 1
    assert company.asked.count("/token") == tokens + 1


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(
    "query", ["", "code=x", "state=", "state=unknown&code=x", "state=a&state=b", "state=%00"]
)
async def test_states_of_nobody(client: Browser, query: str) -> None:
    answer = await client.api.get(f"/v1/auth/outside/company/callback?{query}")
    assert answer.status_code in {400, 410, 422}, answer.text
    assert "location" not in answer.headers


async def test_a_code_is_good_once(company: Company, client: Browser) -> None:
    company.person = {"sub": "once", "email": "once@example.com", "email_verified": True}
    told = await client.walk("company")
    assert (await client.complete(told)).status_code == 200
    assert_problem(await client.complete(told), 410, "outside_attempt_invalid")


async def test_many_with_one_code_get_one_session(
    company: Company, guilder: Running, client: Browser
) -> None:
    company.person = {"sub": "many", "email": "many@example.com", "email_verified": True}
    told = await client.walk("company")
    before = await written(guilder)
    answers = await asyncio.gather(*(client.complete(told) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200, *([410] * 7)]
    after = await written(guilder)
    assert after[2] == before[2] + 1


@pytest.mark.parametrize(
    "verifier",
    ["x" * 43, "short", "x" * 128, "\u00e9" * 43],
    ids=["another", "short", "long", "not ASCII"],
)
async def test_a_code_is_good_for_its_client_only(
    guilder: Running, client: Browser, verifier: str
) -> None:
    """Whoever sees the return address, as in a log, has half of what is needed."""
    told = await client.walk("company")
    before = await written(guilder)
    assert_problem(await client.complete(told, verifier=verifier), 410, "outside_attempt_invalid")
    # The try has ended it, for its own client too.
    assert_problem(await client.complete(told), 410, "outside_attempt_invalid")
    assert (await written(guilder))[:4] == before[:4]


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize(
    "url",
    [
        "http://wallet.example.com/signed-in",
        RETURN_URL + "&more=1",
        RETURN_URL + "/../elsewhere",
        "https://evil.example/?from=outside",
        "http://wallet.example.com@evil.example/",
        "//evil.example",
        "javascript:alert(1)",
    ],
)
async def test_asvs_3_7_2_browsers_are_sent_to_listed_addresses_only(
    client: Browser, url: str
) -> None:
    answer = await client.start("company", return_url=url)
    assert_problem(answer, 422, "invalid")
    assert answer.json()["errors"][0]["pointer"] == "/return_url"
    assert "location" not in answer.headers


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("challenge", ["plain", s256("x") + "=", "x" * 42, "\u00e9" * 43])
async def test_nobody_begins_without_a_challenge(client: Browser, challenge: str) -> None:
    answer = await client.start("company", challenge=challenge)
    assert_problem(answer, 422, "invalid")
    missing = await client.api.get(
        "/v1/auth/outside/company/start", params={"return_url": RETURN_URL}
    )
    assert_problem(missing, 422, "invalid")


@pytest.mark.parametrize("path", ["start", "callback"])
async def test_a_company_that_there_is_not(client: Browser, path: str) -> None:
    query = {"return_url": RETURN_URL, "challenge": s256("x"), "state": "x"}
    answer = await client.api.get(f"/v1/auth/outside/nobody/{path}", params=query)
    assert_problem(answer, 404, "outside_provider_unknown")


async def test_too_late(guilder: Running, client: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = guilder.app.state.identity.outside.attempts
    clock = HandClock()
    clock.now = utc_now()
    url = await client.to_callback((await client.start("company")).headers["location"])
    told = await client.walk("company")
    monkeypatch.setattr(attempts, "_clock", clock)
    clock.move(minutes=11)
    assert_problem(await client.api.get(url), 410, "outside_attempt_invalid")
    assert_problem(await client.complete(told), 410, "outside_attempt_invalid")


async def test_asvs_16_3_3_refusals_are_recorded(
    company: Company, guilder: Running, client: Browser
) -> None:
    company.lies = {"aud": "somebody else"}
    assert await client.walk("company") == REFUSED
    entries = await guilder.app.state.audit.search(Search(action="sign_in.refused"))
    details = dict(entries[0].event.details)
    assert details == {"way": "outside", "provider": "company", "because": "audience"}
    assert entries[0].event.outcome == "refused"


async def test_attempts_are_swept(guilder: Running, client: Browser) -> None:
    await client.start("company")
    storage = guilder.app.state.storage
    clock = HandClock()
    clock.now = utc_now()
    clock.move(hours=1)
    await Housekeeping(storage=storage, clock=clock).sweep()
    for model in (OutsideAttempt, OutsideAnswer):
        assert await storage.documents(model).page({}) == []
