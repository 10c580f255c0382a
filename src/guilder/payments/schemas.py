"""The bodies of payments on the wire."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from guilder.kernel.clock import rfc3339
from guilder.payments.models import Payment
from guilder.payments.rules import PaymentStatus
from guilder.wallets.schemas import Amount, CurrencyCode

_EXAMPLE: JsonDict = {
    "payment_id": "payment_01h2xcejqtf2nbrexx3vqjhp41",
    "wallet_id": "wallet_01h455vb4pex5vsknk084sn02q",
    "amount": 1250,
    "currency": "USD",
    "gateway": "simulator",
    "status": "pending",
    "checkout_url": "https://pay.example.com/checkout/simpay_01h2xcejqtf2nbrexx3vqjhp41",
    "created_at": "2026-01-31T12:00:00.000Z",
}


class AddFundsBody(BaseModel):
    """What somebody wants to add."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        json_schema_extra={"examples": [{"amount": 1250, "currency": "USD"}]},
    )

    amount: Amount
    currency: CurrencyCode
    gateway: str | None = Field(
        None, min_length=1, max_length=32, description="Name; the default one if left out."
    )
    return_url: str | None = Field(
        None,
        min_length=1,
        max_length=2_000,
        description="Where the checkout sends the browser afterwards; http or https.",
    )


class AddFundsAnswer(BaseModel):
    """A payment as it began: always `pending`, and the same for every request under its key."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    payment_id: str = Field(description="TypeID.")
    wallet_id: str = Field(description="TypeID.")
    amount: Amount
    currency: CurrencyCode
    gateway: str
    status: Literal["pending"]
    checkout_url: str | None = Field(description="The page on which to pay.")
    created_at: str = Field(description="RFC 3339, UTC, milliseconds.")

    @classmethod
    def of(cls, payment: Payment) -> "AddFundsAnswer":
        """Shape a payment as it began. Only of fields that never change."""
        return cls(
            payment_id=payment.id,
            wallet_id=payment.wallet_id,
            amount=payment.amount_minor,
            currency=payment.currency,
            gateway=payment.gateway,
            status="pending",
            checkout_url=payment.checkout_url,
            created_at=rfc3339(payment.created_at),
        )


class PaymentAnswer(BaseModel):
    """A payment as it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_EXAMPLE,
                    "status": "captured",
                    "failure_code": None,
                    "transaction_id": "transfer_01h2xcejqtf2nbrexx3vqjhp41",
                    "updated_at": "2026-01-31T12:00:05.000Z",
                }
            ]
        }
    )

    payment_id: str = Field(description="TypeID.")
    wallet_id: str = Field(description="TypeID.")
    amount: Amount
    currency: CurrencyCode
    gateway: str
    status: Literal["pending", "captured", "failed", "expired"] = Field(
        description="`captured`: the wallet has been credited."
    )
    failure_code: str | None = Field(description="Why it failed, in the gateway's words.")
    checkout_url: str | None = Field(description="The page on which to pay.")
    transaction_id: str | None = Field(description="The credit in the wallet, once captured.")
    created_at: str = Field(description="RFC 3339, UTC, milliseconds.")
    updated_at: str = Field(description="RFC 3339, UTC, milliseconds.")

    @classmethod
    def of(cls, payment: Payment) -> "PaymentAnswer":
        """Shape a payment for the wire."""
        return cls(
            payment_id=payment.id,
            wallet_id=payment.wallet_id,
            amount=payment.amount_minor,
            currency=payment.currency,
            gateway=payment.gateway,
            status=_wire_status(payment.status),
            failure_code=payment.failure_code if payment.status is PaymentStatus.FAILED else None,
            checkout_url=payment.checkout_url,
            transaction_id=payment.transfer_id,
            created_at=rfc3339(payment.created_at),
            updated_at=rfc3339(payment.updated_at),
        )


def _wire_status(status: PaymentStatus) -> Literal["pending", "captured", "failed", "expired"]:
    """Return what the payer is told. What an operator has to look into is still pending for him."""
    match status:
        case PaymentStatus.CAPTURED:
            return "captured"
        case PaymentStatus.FAILED:
            return "failed"
        case PaymentStatus.EXPIRED:
            return "expired"
        case PaymentStatus.PENDING | PaymentStatus.ALARMED:
            return "pending"
