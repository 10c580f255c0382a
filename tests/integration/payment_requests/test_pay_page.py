"""The page behind the link of a request for money, as a browser without any token sees it."""

import re

import httpx2

from guilder.kernel.ids import new_id
from guilder.payment_requests.pages import missing_page
from guilder.payment_requests.qr import inline_svg_of
from tests.support.http import Person, Running
from tests.support.late_money import fund

PATH = "/v1/payment-requests"


async def ask(payee: Person, **more: object) -> str:
    """Ask for 12.50 USD, of nobody in particular unless told; return the request's id."""
    body = {"amount": 1_250, "currency": "USD", "description": "Dinner", **more}
    made = (await payee.post(PATH, body)).raise_for_status().json()
    return str(made["payment_request_id"])


async def page_of(guilder: Running, request_id: str) -> httpx2.Response:
    return await guilder.client.get(f"/pay/{request_id}")


async def test_the_link_leads_to_what_its_holder_may_know(guilder: Running) -> None:
    payee, payer = await guilder.person(), await guilder.person()
    await fund(guilder, payer, 2_000)
    made = (await payee.post(PATH, {"amount": 1_250, "currency": "USD"})).json()
    assert made["link"].startswith(guilder.settings.base_url + "/pay/")
    page = await guilder.client.get(made["link"].removeprefix(guilder.settings.base_url))
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    until = made["expires_at"][:16].replace("T", " ") + " UTC"
    for text in ("Payer asks for", "12.50 USD", until, inline_svg_of(made["link"])):
        assert text in page.text
    # Without it a browser on a small screen cuts the code off instead of shrinking it.
    assert "<svg viewBox=" in page.text

    paid = await payer.post(f"{PATH}/{made['payment_request_id']}/pay", None)
    assert paid.status_code == 201, paid.text
    after = await page_of(guilder, made["payment_request_id"])
    assert "It has been paid." in after.text
    assert "<svg" not in after.text
    for person in (payee, payer):
        for secret in (person.user["id"], person.user["wallet_id"], person.user["email"]):
            assert secret not in page.text + after.text
    assert paid.json()["transaction_id"] not in after.text


async def test_the_page_says_how_it_ended(guilder: Running) -> None:
    payee = await guilder.person()
    request_id = await ask(payee)
    (await payee.post(f"{PATH}/{request_id}/cancel", None)).raise_for_status()
    assert "It was taken back." in (await page_of(guilder, request_id)).text


async def test_a_request_that_names_somebody_looks_like_none(guilder: Running) -> None:
    payee, payer = await guilder.person(), await guilder.person()
    named = await ask(payee, **{"from": {"email": payer.user["email"]}})
    html, _ = missing_page()
    for request_id in (named, new_id("payment_request"), new_id("wallet"), "nonsense"):
        page = await page_of(guilder, request_id)
        assert page.status_code == 404
        assert page.text == html


async def test_asvs_3_2_2_the_page_loads_nothing_runs_nothing_and_escapes(guilder: Running) -> None:
    payee = await guilder.person()
    page = await page_of(guilder, await ask(payee, description='<script>x</script>"&'))
    assert "&lt;script&gt;x&lt;/script&gt;&#34;&amp;" in page.text
    for answer in (page, await page_of(guilder, "nonsense")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        for part in ("form-action 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert part in policy
        assert "unsafe" not in policy
        assert "<script" not in answer.text
        assert not re.search(r'\b(src|href|action|style)="', answer.text)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
