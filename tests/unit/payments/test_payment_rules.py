"""Every pair of what we know and what a gateway says about a payment."""

from dataclasses import replace

import pytest

from guilder.gateways.base import GatewayPayment, GatewayPaymentStatus
from guilder.kernel.currency import currency
from guilder.kernel.money import Money
from guilder.payments.rules import Decision, Expected, PaymentStatus, Step, decide

EXPECTED = Expected(
    our_reference="payment_1",
    reference="ref_1",
    money=Money(500, currency("USD")),
    is_live=False,
    status=PaymentStatus.PENDING,
)
FOUND = GatewayPayment(
    reference="ref_1",
    our_reference="payment_1",
    money=Money(500, currency("USD")),
    status=GatewayPaymentStatus.CAPTURED,
    is_live=False,
)
P, G = PaymentStatus, GatewayPaymentStatus


@pytest.mark.parametrize(
    ("status", "said", "is_over", "step"),
    [
        (P.PENDING, G.PENDING, False, Step.WAIT),
        (P.PENDING, G.PENDING, True, Step.EXPIRE),
        (P.PENDING, G.CAPTURED, False, Step.CAPTURE),
        (P.PENDING, G.CAPTURED, True, Step.CAPTURE),
        (P.PENDING, G.FAILED, False, Step.FAIL),
        (P.FAILED, G.PENDING, False, Step.NOTHING),
        (P.FAILED, G.FAILED, True, Step.NOTHING),
        (P.FAILED, G.CAPTURED, False, Step.CAPTURE),
        (P.EXPIRED, G.PENDING, True, Step.NOTHING),
        (P.EXPIRED, G.FAILED, True, Step.FAIL),
        (P.EXPIRED, G.CAPTURED, True, Step.CAPTURE),
        *((P.CAPTURED, said, True, Step.NOTHING) for said in G),
        *((P.ALARMED, said, True, Step.NOTHING) for said in G),
    ],
)
def test_states_move_forward_only(
    status: PaymentStatus, said: GatewayPaymentStatus, is_over: bool, step: Step
) -> None:
    found = replace(FOUND, status=said)
    assert decide(replace(EXPECTED, status=status), found, is_over=is_over).step is step


@pytest.mark.parametrize("said", list(G))
@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (replace(FOUND, our_reference="payment_2"), "our_reference_differs"),
        (replace(FOUND, reference="ref_2"), "reference_differs"),
        (replace(FOUND, is_live=True), "mode_differs"),
        (replace(FOUND, money=Money(500, currency("EUR"))), "currency_differs"),
        (replace(FOUND, money=Money(499, currency("USD"))), "amount_differs"),
        (replace(FOUND, money=Money(501, currency("USD"))), "amount_differs"),
    ],
)
def test_any_difference_is_an_alarm(
    found: GatewayPayment, reason: str, said: GatewayPaymentStatus
) -> None:
    decision = decide(EXPECTED, replace(found, status=said), is_over=False)
    assert decision == Decision(Step.ALARM, reason)


def test_the_first_fetch_may_name_the_reference() -> None:
    assert decide(replace(EXPECTED, reference=None), FOUND, is_over=False).step is Step.CAPTURE


def test_a_failure_says_why() -> None:
    found = replace(FOUND, status=G.FAILED, failure_code="declined")
    assert decide(EXPECTED, found, is_over=False) == Decision(Step.FAIL, "declined")
