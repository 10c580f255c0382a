"""The simulator's page, as a browser and as an attacker sees it."""

import re
from uuid import uuid4

import httpx2
import pytest

from guilder.gateways.base import Checkout, GatewayPaymentStatus
from guilder.kernel.currency import currency
from guilder.kernel.money import Money
from tests.support.gateways import World


async def opened(world: World, return_url: str | None = None, amount: int = 1_250) -> Checkout:
    return await world.gateway.create_checkout(
        str(uuid4()),
        money=Money(amount, currency("USD")),
        our_reference="payment_a",
        return_url=return_url,
    )


async def form_token(world: World, url: str) -> str:
    page = await world.client.get(url)
    found = re.search(r'name="token" value="([0-9a-f]{64})"', page.text)
    assert found is not None
    return found[1]


async def submit(world: World, url: str, decision: str) -> httpx2.Response:
    token = await form_token(world, url)
    return await world.client.post(url, data={"token": token, "decision": decision})


async def test_the_page_shows_amount_merchant_and_buttons(world: World) -> None:
    page = await world.client.get((await opened(world)).url)
    assert page.status_code == 200
    for text in ("12.50 USD", "Guilder", ">Pay 12.50 USD<", ">Decline<", ">Cancel<"):
        assert text in page.text
    assert 'name="viewport"' in page.text


async def test_the_page_loads_nothing_and_cannot_be_framed(world: World) -> None:
    page = await world.client.get((await opened(world)).url)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "script" not in page.text
    assert not re.search(r'(src|href)="', page.text)
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("decision", "status", "text"),
    [
        ("pay", GatewayPaymentStatus.CAPTURED, "Paid."),
        ("decline", GatewayPaymentStatus.FAILED, "declined"),
        ("cancel", GatewayPaymentStatus.FAILED, "cancelled"),
    ],
)
async def test_a_button_ends_the_checkout_and_shows_how(
    world: World, decision: str, status: GatewayPaymentStatus, text: str
) -> None:
    checkout = await opened(world)
    answer = await submit(world, checkout.url, decision)
    assert answer.status_code == 303
    page = await world.client.get(str(answer.url.join(answer.headers["location"])))
    assert text in page.text
    assert "<button" not in page.text
    assert (await world.gateway.fetch_payment(checkout.reference)).status is status


async def test_the_first_button_counts(world: World) -> None:
    checkout = await opened(world)
    token = await form_token(world, checkout.url)
    for decision in ("pay", "decline", "cancel"):
        await world.client.post(checkout.url, data={"token": token, "decision": decision})
    found = await world.gateway.fetch_payment(checkout.reference)
    assert found.status is GatewayPaymentStatus.CAPTURED


async def test_the_browser_goes_back_where_it_came_from(world: World) -> None:
    checkout = await opened(world, "https://shop.example.com:8443/back?order=1")
    page = await world.client.get(checkout.url)
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' https://shop.example.com:8443;" in policy
    answer = await submit(world, checkout.url, "pay")
    assert answer.headers["location"] == "https://shop.example.com:8443/back?order=1"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"decision": "pay"},
        {"decision": "pay", "token": ""},
        {"decision": "pay", "token": "0" * 64},
        {"decision": "pay", "token": "é"},
    ],
)
async def test_a_form_that_we_did_not_draw_is_refused(world: World, form: dict[str, str]) -> None:
    checkout = await opened(world)
    answer = await world.client.post(checkout.url, data=form)
    assert answer.status_code == 403
    found = await world.gateway.fetch_payment(checkout.reference)
    assert found.status is GatewayPaymentStatus.PENDING


async def test_the_token_of_another_checkout_is_refused(world: World) -> None:
    mine, other = await opened(world), await opened(world)
    token = await form_token(world, mine.url)
    answer = await world.client.post(other.url, data={"token": token, "decision": "pay"})
    assert answer.status_code == 403


async def test_what_is_no_decision_or_no_checkout_is_refused(world: World) -> None:
    checkout = await opened(world)
    assert (await submit(world, checkout.url, "steal")).status_code == 422
    assert (await world.client.get(checkout.url + "x")).status_code == 404


async def test_the_api_wants_its_secret(world: World) -> None:
    for path in ("/v1/payments/x", "/v1/payouts/x"):
        answer = await world.client.get(world.config.api_url + path)
        assert answer.status_code == 401
    answer = await world.client.put(world.config.api_url + "/v1/scripts/x", json={})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"amount":0,"currency":"USD","reference":"r"}',
        b'{"amount":1.5,"currency":"USD","reference":"r"}',
        b'{"amount":"1","currency":"USD","reference":"r"}',
        b'{"amount":9223372036854775808,"currency":"USD","reference":"r"}',
        b'{"amount":1,"currency":"XXX","reference":"r"}',
        b'{"amount":1,"currency":"USD","reference":"r","extra":1}',
        b'{"amount":1,"currency":"USD","reference":"r","return_url":"javascript:alert(1)"}',
    ],
)
async def test_the_api_refuses_what_it_does_not_know(world: World, body: bytes) -> None:
    answer = await world.client.post(
        world.config.api_url + "/v1/payments",
        content=body,
        headers={
            "authorization": f"Bearer {world.config.api_secret}",
            "idempotency-key": "k",
        },
    )
    assert answer.status_code == 422
