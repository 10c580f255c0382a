"""Which webhooks the simulator sends when something shall go wrong."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from guilder.gateways.simulator.config import SimulatorConfig
from guilder.gateways.simulator.faults import deliveries_of
from guilder.gateways.simulator.models import (
    DeliveryState,
    FaultScript,
    SimulatedPayment,
    SimulatedState,
)
from guilder.gateways.simulator.sender import after_attempt

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
CONFIG = SimulatorConfig(
    api_url="", public_url="", webhook_url="", api_secret="x", webhook_secrets=("y",)
)


def payment(state: SimulatedState) -> SimulatedPayment:
    return SimulatedPayment(
        id="simpay_1",
        amount_minor=5,
        currency="USD",
        our_reference="payment_1",
        return_url=None,
        state=state,
        created_at=NOW,
        updated_at=NOW,
    )


def script(**faults: object) -> FaultScript:
    return FaultScript(id="payment_1", created_at=NOW, updated_at=NOW, **faults)  # type: ignore[arg-type]


def types(state: SimulatedState, **faults: object) -> list[str]:
    deliveries = deliveries_of(payment(state), script(**faults), now=NOW)
    ordered = sorted(deliveries, key=lambda delivery: delivery.due_at)
    return [
        msgspec.json.decode(each.body)["type"] + ("!" if each.is_forged else "") for each in ordered
    ]


def test_without_faults_each_change_is_one_webhook() -> None:
    assert types(SimulatedState.OPEN) == ["payment.open"]
    assert types(SimulatedState.CAPTURED) == ["payment.captured"]


def test_copies_are_the_same_event() -> None:
    deliveries = deliveries_of(payment(SimulatedState.CAPTURED), script(copies=3), now=NOW)
    assert len({delivery.id for delivery in deliveries}) == 3
    assert len({delivery.body for delivery in deliveries}) == 1


def test_reordering_sends_the_first_after_the_last() -> None:
    assert types(SimulatedState.OPEN, is_reordered=True) == []
    both = types(SimulatedState.CAPTURED, is_reordered=True)
    assert both == ["payment.captured", "payment.open"]


def test_lost_webhooks_are_not_sent_and_forged_ones_are() -> None:
    assert types(SimulatedState.CAPTURED, is_lost=True) == []
    assert types(SimulatedState.OPEN, is_lost=True, is_forged=True) == ["payment.captured!"]


def test_a_delay_moves_what_is_due() -> None:
    (only,) = deliveries_of(payment(SimulatedState.OPEN), script(delay_ms=250), now=NOW)
    assert only.due_at == NOW + timedelta(milliseconds=250)


@pytest.mark.parametrize(
    ("attempts", "is_accepted", "state"),
    [
        (0, True, DeliveryState.DELIVERED),
        (0, False, DeliveryState.WAITING),
        (8, False, DeliveryState.WAITING),
        (9, False, DeliveryState.ABANDONED),
        (9, True, DeliveryState.DELIVERED),
    ],
)
def test_a_webhook_is_sent_until_it_is_taken_or_given_up(
    attempts: int, is_accepted: bool, state: DeliveryState
) -> None:
    (delivery,) = deliveries_of(payment(SimulatedState.OPEN), script(), now=NOW)
    delivery = msgspec.structs.replace(delivery, attempts=attempts)
    after = after_attempt(delivery, CONFIG, is_accepted=is_accepted, now=NOW)
    assert after.state is state
    assert after.attempts == attempts + 1
    if state is DeliveryState.WAITING:
        wait = timedelta(milliseconds=CONFIG.retry_after_ms[attempts])
        assert after.due_at == NOW + wait


def test_a_forged_webhook_is_sent_once() -> None:
    (_, forged) = deliveries_of(payment(SimulatedState.OPEN), script(is_forged=True), now=NOW)
    after = after_attempt(forged, CONFIG, is_accepted=False, now=NOW)
    assert after.state is DeliveryState.DELIVERED
