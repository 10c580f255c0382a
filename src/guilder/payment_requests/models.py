"""A request for money as stored."""

from datetime import datetime
from typing import ClassVar

from guilder.kernel.ids import WalletId
from guilder.payment_requests.rules import PaymentRequestStatus
from guilder.storage.base import Document


class PaymentRequest(Document, frozen=True, kw_only=True):
    """Money that somebody asks for.

    Args:
        payee_name: As the payee was called when asking.
        payer_wallet_id: Who is asked; in an open request, who has paid it.
        is_open: Nobody was named: whoever knows the id may pay.
        transfer_id: TypeID of the transfer that paid it.
        fingerprint: SHA-256 of the request that made it, in hexadecimal.
    """

    collection: ClassVar[str] = "payment_requests"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("payee_wallet_id", "created_at"),
        ("payer_wallet_id", "created_at"),
        ("status", "expires_at"),
    )

    payee_wallet_id: WalletId
    payee_name: str
    payer_wallet_id: WalletId | None
    is_open: bool
    amount_minor: int
    currency: str
    description: str
    expires_at: datetime
    status: PaymentRequestStatus = PaymentRequestStatus.PENDING
    transfer_id: str | None = None
    fingerprint: str
