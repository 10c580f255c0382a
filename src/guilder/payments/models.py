"""A payment as it is stored."""

from typing import ClassVar

from guilder.gateways.models import Intent
from guilder.payments.rules import PaymentStatus


class Payment(Intent, frozen=True, kw_only=True):
    """An intent to add funds, and what has become of it.

    Args:
        fingerprint: SHA-256 of the request, hex. The id follows from user and idempotency key.
        checkout_url: Recorded together with the gateway's answer.
        failure_code: Why it failed or is alarmed.
        transfer_id: TypeID of the transfer that credited the wallet.
    """

    collection: ClassVar[str] = "payments"

    return_url: str | None
    fingerprint: str
    status: PaymentStatus
    checkout_url: str | None = None
    transfer_id: str | None = None
