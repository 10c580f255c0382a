"""The rules of requests for money."""

from guilder.kernel.errors import GuilderError, Kind


class PaymentRequestEnded(GuilderError):
    """A request for money is paid, declined or cancelled once, and only while it is pending."""

    code = "payment_request_ended"
    kind = Kind.CONFLICT
    title = "The payment request has ended"


class PaymentRequestExpired(GuilderError):
    """A request for money is paid, declined or cancelled before it expires."""

    code = "payment_request_expired"
    kind = Kind.EXPIRED
    title = "The payment request has expired"
