"""The page on which a person pays. It loads nothing from anywhere and runs no script."""

import hashlib
import hmac
from base64 import b64encode
from importlib.resources import files

from jinja2 import Environment
from markupsafe import Markup

from guilder.gateways.return_urls import origin_of
from guilder.gateways.simulator.models import SimulatedPayment, SimulatedState
from guilder.kernel.currency import currency
from guilder.kernel.money import Money

_FOLDER = files("guilder.gateways.simulator")
_CSS = _FOLDER.joinpath("checkout.css").read_text(encoding="utf-8")
_PAGE = Environment(autoescape=True).from_string(
    _FOLDER.joinpath("checkout.html").read_text(encoding="utf-8")
)
_CSS_HASH = b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
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
    html = _PAGE.render(
        amount=str(Money(payment.amount_minor, currency(payment.currency))),
        css=Markup(_CSS),  # noqa: S704 - our own file; the policy names its hash
        is_open=payment.state is SimulatedState.OPEN,
        merchant=_MERCHANT,
        outcome=_OUTCOMES.get(payment.state, ""),
        return_url=payment.return_url,
        token=form_token(payment.id, secret),
    )
    return html, _headers(payment)


def _headers(payment: SimulatedPayment) -> dict[str, str]:
    # Browsers apply form-action to the redirect that answers the form too.
    back = origin_of(payment.return_url) if payment.return_url else None
    targets = f"'self' {back}" if back else "'self'"
    policy = (
        f"default-src 'none'; style-src 'sha256-{_CSS_HASH}'; form-action {targets}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "cache-control": "no-store",
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
