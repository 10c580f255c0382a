"""The page behind the link of an open request for money. It shows, and does nothing."""

from guilder.kernel.currency import currency
from guilder.kernel.money import Money
from guilder.middlewares.pages import Page
from guilder.payment_requests.models import PaymentRequest
from guilder.payment_requests.qr import inline_svg_of
from guilder.payment_requests.rules import PaymentRequestStatus

_PAGE = Page("guilder.payment_requests", "pay.html")
_OUTCOMES = {
    PaymentRequestStatus.PAID: "It has been paid.",
    PaymentRequestStatus.DECLINED: "It was declined.",
    PaymentRequestStatus.CANCELLED: "It was taken back.",
    PaymentRequestStatus.EXPIRED: "Its time is over.",
}


def request_page(request: PaymentRequest, *, link: str) -> tuple[str, dict[str, str]]:
    """Return the page of a request as it stands, and the headers that go with it.

    Args:
        request: An open one.
        link: Where the page is found; its QR code leads there.

    Invariants:
        It tells what everybody with the link may know: not who has paid, nor any wallet's id.
    """
    amount = str(Money(request.amount_minor, currency(request.currency)))
    values = {
        "title": f"{amount} for {request.payee_name}",
        "request": request,
        "amount": amount,
        "is_pending": request.status is PaymentRequestStatus.PENDING,
        "expires_at": f"{request.expires_at:%Y-%m-%d %H:%M} UTC",
        "outcome": _OUTCOMES.get(request.status, ""),
        "qr": inline_svg_of(link),
    }
    return _PAGE.render(values)


def missing_page() -> tuple[str, dict[str, str]]:
    """Return the page of all that is not shown: missing, or for one person only."""
    return _PAGE.render({"title": "Nothing to show", "request": None})
