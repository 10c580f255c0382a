"""What a request for money may become, and how long it lasts. Without I/O or a clock."""

from datetime import datetime, timedelta
from enum import StrEnum

from guilder.kernel.errors import FieldError, GuilderError, InvalidRequest
from guilder.payment_requests.errors import PaymentRequestEnded, PaymentRequestExpired

LASTS = timedelta(days=30)
"""How long a request lasts that names no end."""
LASTS_AT_MOST = timedelta(days=366)


class PaymentRequestStatus(StrEnum):
    """Where a request stands. It leaves `pending` once, and then stays."""

    PENDING = "pending"
    """It can be paid."""
    PAID = "paid"
    """The money has moved."""
    DECLINED = "declined"
    """Whoever was asked does not want to pay."""
    CANCELLED = "cancelled"
    """Whoever asked has taken it back."""
    EXPIRED = "expired"
    """Its time is over."""


class Role(StrEnum):
    """Which side of a request somebody is on."""

    PAYEE = "payee"
    """Asks for the money."""
    PAYER = "payer"
    """Is asked for it, or has paid it."""


def expiry(wanted: datetime | None, *, now: datetime) -> datetime:
    """Return when a new request expires.

    Raises:
        InvalidRequest: `wanted` is over already, or more than 366 days away.
    """
    if wanted is None:
        return now + LASTS
    if not now < wanted <= now + LASTS_AT_MOST:
        detail = f"Give a time from now to {LASTS_AT_MOST.days} days from now."
        raise InvalidRequest(fields=(FieldError("/expires_at", "out_of_range", detail),))
    return wanted


def ended(status: PaymentRequestStatus) -> GuilderError:
    """Return why nothing can be done with a request that is not pending any more."""
    if status is PaymentRequestStatus.EXPIRED:
        return PaymentRequestExpired()
    return PaymentRequestEnded(f"The payment request was {status} before.")
