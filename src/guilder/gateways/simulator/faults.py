"""Which webhooks follow from a change, once what shall go wrong around the object is taken into
account. Pure.
"""

from datetime import datetime, timedelta

import msgspec

from guilder.gateways.simulator.models import (
    Delivery,
    DeliveryState,
    FaultScript,
    SimulatedPayment,
    SimulatedPayout,
    SimulatedState,
)
from guilder.kernel.ids import derived_uuid, encode_id

_A_MOMENT = timedelta(milliseconds=1)


def deliveries_of(
    subject: SimulatedPayment | SimulatedPayout, script: FaultScript, *, now: datetime
) -> list[Delivery]:
    """Return the webhooks that the present state of `subject` puts into the outbox."""
    states = [subject.state]
    if script.is_reordered:
        # The opening is held back until there is an end, and then comes after it.
        opened = subject.state is SimulatedState.OPEN
        states = [] if opened else [subject.state, SimulatedState.OPEN]
    deliveries: list[Delivery] = []
    for place, state in enumerate(states):
        due_at = now + timedelta(milliseconds=script.delay_ms) + place * _A_MOMENT
        if not script.is_lost:
            deliveries += [
                _delivery(subject, state, copy=copy, due_at=due_at) for copy in range(script.copies)
            ]
    if script.is_forged:
        deliveries.append(_forged(subject, now))
    return deliveries


def _delivery(
    subject: SimulatedPayment | SimulatedPayout,
    state: SimulatedState,
    *,
    copy: int,
    due_at: datetime,
) -> Delivery:
    event = derived_uuid("simulated-event", subject.id, state)
    return Delivery(
        id=encode_id("simhook", derived_uuid("simulated-delivery", event.bytes, str(copy))),
        body=_body(subject, encode_id("simevent", event), state),
        state=DeliveryState.WAITING,
        due_at=due_at,
        created_at=due_at,
        updated_at=due_at,
    )


def _forged(subject: SimulatedPayment | SimulatedPayout, now: datetime) -> Delivery:
    """Return what a thief would send: the best news, signed with a secret that he made up."""
    is_payment = isinstance(subject, SimulatedPayment)
    best = SimulatedState.CAPTURED if is_payment else SimulatedState.FAILED
    event = derived_uuid("forged-event", subject.id, subject.state)
    return Delivery(
        id=encode_id("simhook", derived_uuid("forged-delivery", event.bytes)),
        body=_body(subject, encode_id("simevent", event), best),
        state=DeliveryState.WAITING,
        is_forged=True,
        due_at=now,
        created_at=now,
        updated_at=now,
    )


def _body(subject: SimulatedPayment | SimulatedPayout, event_id: str, state: SimulatedState) -> str:
    kind = "payment" if isinstance(subject, SimulatedPayment) else "payout"
    data = {"id": subject.id, "reference": subject.our_reference, "state": state}
    return msgspec.json.encode({"id": event_id, "type": f"{kind}.{state}", "data": data}).decode()
