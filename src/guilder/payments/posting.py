"""The one transfer of a payment: what the gateway owes us, credited to the wallet."""

import hashlib

from guilder.kernel.ids import derived_uuid
from guilder.ledger.chart import AccountCode, system_account
from guilder.ledger.models import TransferRequest
from guilder.payments.models import Payment
from guilder.storage.records import Account
from guilder.wallets.accounts import wallet_account


def accounts_of(payment: Payment) -> tuple[Account, Account]:
    """Return the accounts that a payment debits and credits, as they are when new."""
    clearing = system_account(
        AccountCode.GATEWAY_CLEARING,
        owner=payment.gateway,
        asset=payment.currency,
        now=payment.created_at,
    )
    return clearing, wallet_account(payment.wallet_id, payment.currency, now=payment.created_at)


def capture_of(payment: Payment, *, reference: str) -> TransferRequest:
    """Return the transfer that credits a payment.

    Invariants:
        Its id follows from gateway and the gateway's reference alone: however
        often, by whomever and for whichever payment of ours it is posted, that
        money is credited once.
    """
    clearing, wallet = accounts_of(payment)
    said = (payment.id, payment.wallet_id, str(payment.amount_minor), payment.currency, reference)
    return TransferRequest(
        id=derived_uuid("payment-capture", payment.gateway, reference),
        debit_account_id=clearing.id,
        credit_account_id=wallet.id,
        amount_minor=payment.amount_minor,
        asset=payment.currency,
        code="payment",
        fingerprint=hashlib.sha256("\n".join(said).encode()).digest(),
        reference=reference,
        metadata={"payment_id": payment.id, "gateway": payment.gateway},
    )
