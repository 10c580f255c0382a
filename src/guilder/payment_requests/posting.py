"""What stands in the journal for a request for money, and what follows from it. Pure."""

import hashlib
from uuid import UUID

from msgspec.structs import replace

from guilder.kernel.ids import WalletId, derived_uuid, encode_id
from guilder.ledger.limits import Limit
from guilder.ledger.marks import Mark, reason_of
from guilder.ledger.models import TransferRequest
from guilder.payment_requests.models import PaymentRequest
from guilder.payment_requests.rules import PaymentRequestStatus
from guilder.storage.records import Transfer
from guilder.wallets.accounts import wallet_account_id
from guilder.wallets.service import TRANSFER_PREFIX

CODE = "payment_request"


def deciding_id(request: PaymentRequest) -> UUID:
    """Return the one transfer id that paying and withdrawing compete for."""
    return derived_uuid("payment-request", request.id)


def payment_of(
    request: PaymentRequest, *, payer: WalletId, key: str, limits: tuple[Limit, ...] = ()
) -> TransferRequest:
    """Return the transfer that pays a request.

    Args:
        key: The payer's idempotency key: a retry is told by it from a second payment.
        limits: What it must stay within.
    """
    said = ("payment-request", request.id, payer, key)
    metadata: dict[str, str] = {
        "payment_request": request.id,
        "from": payer,
        "to": request.payee_wallet_id,
    }
    if request.description:
        metadata["description"] = request.description
    return TransferRequest(
        id=deciding_id(request),
        debit_account_id=wallet_account_id(payer, request.currency),
        credit_account_id=wallet_account_id(request.payee_wallet_id, request.currency),
        amount_minor=request.amount_minor,
        asset=request.currency,
        code=CODE,
        fingerprint=hashlib.sha256("\n".join(said).encode()).digest(),
        limits=limits,
        metadata=metadata,
    )


def withdrawal_of(request: PaymentRequest, status: PaymentRequestStatus) -> Mark:
    """Return the mark that keeps a request from ever being paid. `status`: what it becomes."""
    return Mark(
        transfer_id=deciding_id(request),
        asset=request.currency,
        subject=request.id,
        reason=status,
    )


def settled(request: PaymentRequest, decided: Transfer) -> PaymentRequest:
    """Return a request as the transfer under its deciding id leaves it."""
    reason = reason_of(decided)
    if reason is not None:
        status = PaymentRequestStatus(reason)
        return replace(request, status=status, updated_at=decided.created_at)
    return replace(
        request,
        status=PaymentRequestStatus.PAID,
        payer_wallet_id=WalletId(decided.metadata["from"]),
        transfer_id=encode_id(TRANSFER_PREFIX, decided.id),
        updated_at=decided.created_at,
    )
