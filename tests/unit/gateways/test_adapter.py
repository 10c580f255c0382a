"""What the adapter makes of every kind of answer: definite, or unknown."""

from collections.abc import Callable
from datetime import UTC, datetime

import httpx2
import pytest

from guilder.gateways.base import GatewayPaymentStatus, GatewayPayoutStatus, SubjectKind
from guilder.gateways.errors import GatewayRefused, GatewayUnclear, WebhookSignatureInvalid
from guilder.gateways.simulator.adapter import SimulatorGateway
from guilder.gateways.simulator.config import SimulatorConfig
from guilder.gateways.simulator.signatures import HEADER, sign
from guilder.kernel.currency import currency
from guilder.kernel.money import Money

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
CONFIG = SimulatorConfig(
    api_url="http://simulator.test",
    public_url="http://simulator.test",
    webhook_url="http://guilder.test",
    api_secret="secret",
    webhook_secrets=("hook",),
)
FOUND = {
    "id": "simpay_1",
    "amount": 500,
    "currency": "USD",
    "reference": "payment_1",
    "status": "open",
    "mode": "test",
    "url": "http://simulator.test/checkout/simpay_1",
}


def gateway(answer: Callable[[httpx2.Request], httpx2.Response]) -> SimulatorGateway:
    made = SimulatorGateway(CONFIG)
    made._client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return made


def answering(status: int, /, **json: object) -> SimulatorGateway:
    return gateway(lambda _: httpx2.Response(status, json=json))


async def create(made: SimulatorGateway) -> None:
    money = Money(500, currency("USD"))
    await made.create_checkout("k", money=money, our_reference="payment_1", return_url=None)


@pytest.mark.parametrize("status", [301, 401, 403, 408, 409, 429, 500, 502, 503, 504])
async def test_an_unclear_status_leaves_the_outcome_unknown(status: int) -> None:
    with pytest.raises(GatewayUnclear):
        await create(answering(status, error={"code": "x"}))


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_refusal_is_definite(status: int) -> None:
    with pytest.raises(GatewayRefused) as raised:
        await create(answering(status, error={"code": "too_poor"}))
    assert raised.value.failure_code == "too_poor"


@pytest.mark.parametrize(
    "error", [httpx2.ConnectError, httpx2.ReadTimeout, httpx2.RemoteProtocolError]
)
async def test_a_lost_connection_leaves_the_outcome_unknown(
    error: type[httpx2.TransportError],
) -> None:
    def fail(_: httpx2.Request) -> httpx2.Response:
        raise error("lost")

    with pytest.raises(GatewayUnclear):
        await create(gateway(fail))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id":1}', b"\xff", b'{"id":"x"}'])
@pytest.mark.parametrize("status", [200, 201, 404])
async def test_row_71_an_unreadable_answer_leaves_the_outcome_unknown(
    status: int, body: bytes
) -> None:
    with pytest.raises(GatewayUnclear):
        await create(gateway(lambda _: httpx2.Response(status, content=body)))


async def test_the_idempotency_key_and_the_secret_are_sent() -> None:
    seen: list[httpx2.Request] = []

    def note(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(201, json=FOUND)

    await create(gateway(note))
    assert seen[0].headers["idempotency-key"] == "k"
    made = SimulatorGateway(CONFIG)
    assert made._client.headers["authorization"] == "Bearer secret"
    assert made._client.timeout.read == 5
    await made.aclose()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("open", GatewayPaymentStatus.PENDING),
        ("something_new", GatewayPaymentStatus.PENDING),
        ("captured", GatewayPaymentStatus.CAPTURED),
        ("declined", GatewayPaymentStatus.FAILED),
        ("cancelled", GatewayPaymentStatus.FAILED),
    ],
)
async def test_only_an_explicit_end_is_an_end(status: str, expected: GatewayPaymentStatus) -> None:
    found = await answering(200, **{**FOUND, "status": status}).fetch_payment("simpay_1")
    assert found.status is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("sent", GatewayPayoutStatus.PENDING),
        ("captured", GatewayPayoutStatus.PENDING),
        ("paid", GatewayPayoutStatus.PAID),
        ("failed", GatewayPayoutStatus.FAILED),
    ],
)
async def test_only_an_explicit_end_of_a_payout_is_an_end(
    status: str, expected: GatewayPayoutStatus
) -> None:
    found = await answering(200, **{**FOUND, "status": status}).fetch_payout("simpay_1")
    assert found.status is expected


@pytest.mark.parametrize("currency_code", ["usd", "XXX", ""])
async def test_an_unknown_currency_is_not_a_refusal(currency_code: str) -> None:
    with pytest.raises(GatewayUnclear):
        await answering(200, **{**FOUND, "currency": currency_code}).fetch_payment("simpay_1")


@pytest.mark.parametrize("reference", ["../payouts/x", "a/b", "a?b", "a%2fb", "", "é", "."])
async def test_a_reference_cannot_leave_its_place_in_the_path(reference: str) -> None:
    def never(_: httpx2.Request) -> httpx2.Response:
        raise AssertionError

    with pytest.raises(GatewayRefused):
        await gateway(never).fetch_payment(reference)


def webhook(body: bytes) -> tuple[SubjectKind, str]:
    headers = {HEADER: sign(body, secrets=("hook",), now=NOW)}
    event = SimulatorGateway(CONFIG).verify_webhook(headers, body, NOW)
    return event.kind, event.reference


def test_a_webhook_says_what_to_fetch() -> None:
    body = b'{"id":"e1","type":"%s.x","data":{"id":"obj_1"}}'
    assert webhook(body % b"payment") == (SubjectKind.PAYMENT, "obj_1")
    assert webhook(body % b"payout") == (SubjectKind.PAYOUT, "obj_1")
    assert webhook(body % b"dispute") == (SubjectKind.OTHER, "")
    assert webhook(body % b"other") == (SubjectKind.OTHER, "")


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"\xff", b'{"id":"","type":"payment.x"}'])
def test_a_signed_webhook_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookSignatureInvalid):
        webhook(body)
