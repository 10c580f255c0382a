"""Every pair of what we know and what a gateway says about a payout."""

from dataclasses import replace

import pytest

from guilder.gateways.base import GatewayPayout, GatewayPayoutStatus
from guilder.kernel.currency import currency
from guilder.kernel.money import Money
from guilder.payouts.rules import Decision, Expected, PayoutStatus, Step, decide

EXPECTED = Expected(
    our_reference="payout_1",
    reference="ref_1",
    money=Money(500, currency("USD")),
    is_live=False,
    status=PayoutStatus.SENT,
    is_alarmed=False,
)
FOUND = GatewayPayout(
    reference="ref_1",
    our_reference="payout_1",
    money=Money(500, currency("USD")),
    status=GatewayPayoutStatus.PAID,
    is_live=False,
)
P, G = PayoutStatus, GatewayPayoutStatus


@pytest.mark.parametrize(
    ("status", "said", "step"),
    [
        (P.REQUESTED, G.PENDING, Step.NOTE_SENT),
        (P.REQUESTED, G.PAID, Step.SETTLE_PAID),
        (P.REQUESTED, G.FAILED, Step.SETTLE_RETURNED),
        (P.SENT, G.PENDING, Step.NOTHING),
        (P.SENT, G.PAID, Step.SETTLE_PAID),
        (P.SENT, G.FAILED, Step.SETTLE_RETURNED),
        (P.PAID, G.PENDING, Step.NOTHING),
        (P.PAID, G.PAID, Step.NOTHING),
        (P.PAID, G.FAILED, Step.CONTRADICTION),
        (P.FAILED, G.PENDING, Step.NOTHING),
        (P.FAILED, G.FAILED, Step.NOTHING),
        (P.FAILED, G.PAID, Step.CONTRADICTION),
    ],
)
def test_states_move_forward_only(
    status: PayoutStatus, said: GatewayPayoutStatus, step: Step
) -> None:
    decision = decide(replace(EXPECTED, status=status), replace(FOUND, status=said))
    assert decision.step is step


@pytest.mark.parametrize("said", list(G))
@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (replace(FOUND, our_reference="payout_2"), "our_reference_differs"),
        (replace(FOUND, reference="ref_2"), "reference_differs"),
        (replace(FOUND, is_live=True), "mode_differs"),
        (replace(FOUND, money=Money(500, currency("EUR"))), "currency_differs"),
        (replace(FOUND, money=Money(499, currency("USD"))), "amount_differs"),
    ],
)
def test_any_difference_is_an_alarm(
    found: GatewayPayout, reason: str, said: GatewayPayoutStatus
) -> None:
    decision = decide(EXPECTED, replace(found, status=said))
    assert decision == Decision(Step.ALARM, reason)
    ended = decide(replace(EXPECTED, status=P.PAID), replace(found, status=said))
    assert ended == Decision(Step.CONTRADICTION)


def test_an_alarmed_payout_moves_nothing() -> None:
    assert decide(replace(EXPECTED, is_alarmed=True), FOUND) == Decision(Step.NOTHING)
