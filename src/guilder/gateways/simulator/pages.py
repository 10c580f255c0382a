"""The page on which a person pays."""

import hmac

from guilder.gateways.return_urls import origin_of
from guilder.gateways.simulator.models import SimulatedPayment, SimulatedState
from guilder.kernel.currency import currency
from guilder.kernel.money import Money
from guilder.middlewares.pages import Page

_PAGE = Page("guilder.gateways.simulator", "checkout.html")
_MERCHANT = "Guilder"

_OUTCOMES = {
    SimulatedState.CAPTURED: "Paid. Thank you.",
    SimulatedState.DECLINED: "The payment was declined.",
    SimulatedState.CANCELLED: "The payment was cancelled.",
}

DECISIONS = {
    "pay": SimulatedState.CAPTURED,
    "decline": SimulatedState.DECLINED,
    "cancel": SimulatedState.CANCELLED,
}
"""What each button of the page ends the checkout with."""


def form_token(payment_id: str, secret: str) -> str:
    """Return what the form of a page carries, so that only a page that we drew can submit it."""
    return hmac.digest(secret.encode(), b"checkout." + payment_id.encode(), "sha256").hex()


def is_form_token(given: str, payment_id: str, secret: str) -> bool:
    """Tell whether a form carries the token of that payment."""
    return hmac.compare_digest(given.encode(), form_token(payment_id, secret).encode())


def checkout_page(payment: SimulatedPayment, secret: str) -> tuple[str, dict[str, str]]:
    """Return the page of a payment as it stands, and the headers that go with it."""
    # Browsers apply form-action to the redirect that answers the form too.
    back = origin_of(payment.return_url) if payment.return_url else None
    values = {
        "amount": str(Money(payment.amount_minor, currency(payment.currency))),
        "is_open": payment.state is SimulatedState.OPEN,
        "merchant": _MERCHANT,
        "outcome": _OUTCOMES.get(payment.state, ""),
        "return_url": payment.return_url,
        "token": form_token(payment.id, secret),
    }
    return _PAGE.render(values, form_targets=f"'self' {back}" if back else "'self'")
