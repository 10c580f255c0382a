"""What every gateway promises, over real HTTP. A new gateway is one more name in `gateway`."""

from uuid import uuid4

import pytest

from guilder.gateways.base import (
    Destination,
    DestinationType,
    Gateway,
    GatewayPaymentStatus,
    GatewayPayoutStatus,
    SubjectKind,
)
from guilder.gateways.errors import GatewayRefused, GatewayUnclear, WebhookSignatureInvalid
from guilder.gateways.simulator.adapter import SimulatorGateway
from guilder.gateways.simulator.config import SimulatorConfig
from guilder.gateways.simulator.models import Delivery, SimulatedState
from guilder.gateways.simulator.signatures import HEADER, sign
from guilder.kernel.currency import currency
from guilder.kernel.money import MAX_MINOR, Money
from guilder.storage.base import Range
from tests.support.gateways import World

USD = currency("USD")
OK = Destination(type=DestinationType.BANK_ACCOUNT, token="bank_ok")


@pytest.fixture(params=["simulator"])
def gateway(request: pytest.FixtureRequest, world: World) -> Gateway:
    return {"simulator": world.gateway}[request.param]


async def test_a_checkout_is_created_once_per_key(gateway: Gateway) -> None:
    key = str(uuid4())
    money = Money(1_250, USD)
    first = await gateway.create_checkout(
        key, money=money, our_reference="payment_a", return_url="https://shop.example.com/"
    )
    again = await gateway.create_checkout(
        key, money=money, our_reference="payment_a", return_url="https://shop.example.com/"
    )
    assert first == again
    assert first.url.startswith("http")
    found = await gateway.fetch_payment(first.reference)
    assert (found.our_reference, found.money) == ("payment_a", money)
    assert found.status is GatewayPaymentStatus.PENDING
    assert found.is_live is gateway.is_live is False


async def test_a_key_with_other_parameters_is_refused(gateway: Gateway) -> None:
    key = str(uuid4())
    await gateway.create_checkout(
        key, money=Money(1, USD), our_reference="payment_a", return_url=None
    )
    with pytest.raises(GatewayRefused):
        await gateway.create_checkout(
            key, money=Money(2, USD), our_reference="payment_a", return_url=None
        )


@pytest.mark.parametrize("money", [Money(1, USD), Money(MAX_MINOR, currency("KWD"))])
async def test_amounts_are_exact(gateway: Gateway, money: Money) -> None:
    checkout = await gateway.create_checkout(
        str(uuid4()), money=money, our_reference="payment_a", return_url=None
    )
    assert (await gateway.fetch_payment(checkout.reference)).money == money


async def test_what_does_not_exist_is_refused(gateway: Gateway) -> None:
    with pytest.raises(GatewayRefused):
        await gateway.fetch_payment("simpay_00000000000000000000000000")
    with pytest.raises(GatewayRefused):
        await gateway.fetch_payout("simout_00000000000000000000000000")


async def test_a_payout_is_created_once_per_key(gateway: Gateway) -> None:
    key = str(uuid4())
    money = Money(1_250, USD)
    first = await gateway.create_payout(key, money=money, our_reference="payout_a", destination=OK)
    again = await gateway.create_payout(key, money=money, our_reference="payout_a", destination=OK)
    assert first.reference == again.reference
    assert (first.our_reference, first.money) == ("payout_a", money)
    assert first.status is GatewayPayoutStatus.PENDING


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("bank_ok", GatewayPayoutStatus.PAID),
        ("bank_fail", GatewayPayoutStatus.FAILED),
        ("bank_slow", GatewayPayoutStatus.PAID),
    ],
)
async def test_a_payout_ends_and_stays_ended(
    gateway: Gateway, token: str, status: GatewayPayoutStatus
) -> None:
    created = await gateway.create_payout(
        str(uuid4()),
        money=Money(5, USD),
        our_reference="payout_a",
        destination=Destination(type=DestinationType.CARD, token=token),
    )
    for _ in range(2):
        found = await gateway.fetch_payout(created.reference)
        assert found.status is status
        assert (found.failure_code is not None) is (status is GatewayPayoutStatus.FAILED)


async def test_an_unknown_destination_is_refused(gateway: Gateway) -> None:
    with pytest.raises(GatewayRefused):
        await gateway.create_payout(
            str(uuid4()),
            money=Money(5, USD),
            our_reference="payout_a",
            destination=Destination(type=DestinationType.CARD, token="nowhere"),
        )


async def test_a_time_out_after_the_effect_is_unclear_and_the_same_key_finds_out(
    world: World, gateway: Gateway
) -> None:
    await world.script("payment_late", hang_ms=0)
    money = Money(5, USD)
    with pytest.raises(GatewayUnclear):
        await gateway.create_checkout(
            "late", money=money, our_reference="payment_late", return_url=None
        )
    await world.script("payment_late")
    found = await gateway.create_checkout(
        "late", money=money, our_reference="payment_late", return_url=None
    )
    created_at = (await world.company.simulator.payment(found.reference)).created_at
    assert created_at < world.clock(), "it is the one of the first call"


async def test_asvs_13_1_3_no_call_waits_for_ever(world: World) -> None:
    await world.script("payment_hung", hang_ms=1_000)
    config = SimulatorConfig(
        api_url=world.config.api_url,
        public_url="",
        webhook_url="",
        api_secret=world.config.api_secret,
        webhook_secrets=("x",),
        timeout_ms=100,
    )
    hasty = SimulatorGateway(config)
    with pytest.raises(GatewayUnclear):
        await hasty.create_checkout(
            "hung", money=Money(5, USD), our_reference="payment_hung", return_url=None
        )
    await hasty.aclose()


async def test_a_wrong_secret_is_not_a_refusal(world: World) -> None:
    config = SimulatorConfig(
        api_url=world.config.api_url,
        public_url="",
        webhook_url="",
        api_secret="wrong",
        webhook_secrets=("x",),
    )
    stranger = SimulatorGateway(config)
    with pytest.raises(GatewayUnclear):
        await stranger.fetch_payment("simpay_00000000000000000000000000")
    await stranger.aclose()


async def test_its_webhooks_prove_themselves_and_forged_ones_do_not(
    world: World, gateway: Gateway
) -> None:
    checkout = await gateway.create_checkout(
        "proven", money=Money(5, USD), our_reference="payment_a", return_url=None
    )
    await world.company.simulator.end_payment(checkout.reference, SimulatedState.CAPTURED)
    now = world.clock()
    waiting = await world.storage.documents(Delivery).page(
        {"state": "waiting"}, within=Range(field="due_at"), limit=100
    )
    body = next(each.body.encode() for each in waiting if checkout.reference in each.body)
    header = sign(body, secrets=world.config.webhook_secrets, now=now)
    event = gateway.verify_webhook({HEADER: header}, body, now)
    assert (event.kind, event.reference) == (SubjectKind.PAYMENT, checkout.reference)
    for forged in ("", header.replace("v1=", "v1=0"), sign(body, secrets=("guess",), now=now)):
        with pytest.raises(WebhookSignatureInvalid):
            gateway.verify_webhook({HEADER: forged}, body, now)
    with pytest.raises(WebhookSignatureInvalid):
        gateway.verify_webhook({HEADER: header}, body.replace(b"payment", b"Payment"), now)
