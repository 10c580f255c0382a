"""The bodies of payouts on the wire."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from guilder.gateways.base import Destination, DestinationType
from guilder.kernel.clock import rfc3339
from guilder.kernel.ids import decode_id, encode_id
from guilder.payouts.models import Payout
from guilder.payouts.posting import payout_of
from guilder.storage.records import Transfer
from guilder.wallets.schemas import Amount, BalanceAfter, CurrencyCode

_EXAMPLE_DESTINATION: JsonDict = {"type": "bank_account", "token": "bank_ok"}
_EXAMPLE: JsonDict = {
    "payout_id": "payout_01h2xcejqtf2nbrexx3vqjhp41",
    "wallet_id": "wallet_01h455vb4pex5vsknk084sn02q",
    "amount": 1250,
    "currency": "USD",
    "gateway": "simulator",
    "destination": _EXAMPLE_DESTINATION,
    "transaction_id": "transfer_01h2xcejqtf2nbrexx3vqjhp41",
    "created_at": "2026-01-31T12:00:00.000Z",
}


class DestinationBody(BaseModel):
    """Where a payout goes: a token that the gateway gave out."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    type: Literal["bank_account", "card"]
    token: str = Field(
        min_length=1,
        max_length=255,
        # A card or account number begins with a digit, and has no business here.
        pattern=r"^[A-Za-z][\x21-\x7e]*$",
        description="The gateway's token; begins with a letter. Never a card or account number.",
    )

    def to_destination(self) -> Destination:
        """Return it in the words of the gateways."""
        return Destination(type=DestinationType(self.type), token=self.token)


class WithdrawBody(BaseModel):
    """What somebody wants to take out."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        json_schema_extra={
            "examples": [{"amount": 1250, "currency": "USD", "destination": _EXAMPLE_DESTINATION}]
        },
    )

    amount: Amount
    currency: CurrencyCode
    destination: DestinationBody
    gateway: str | None = Field(
        None, min_length=1, max_length=32, description="Name; the default one if left out."
    )
    description: str = Field("", max_length=500, description="For the wallet's history.")


class WithdrawAnswer(BaseModel):
    """A payout as it began: always `requested`, and the same for every request under its key."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_EXAMPLE, "status": "requested"}]})

    payout_id: str = Field(description="TypeID.")
    wallet_id: str = Field(description="TypeID.")
    amount: Amount
    currency: CurrencyCode
    gateway: str
    status: Literal["requested"]
    destination: DestinationBody
    transaction_id: str = Field(description="The debit in the wallet.")
    balance_after: BalanceAfter
    created_at: str = Field(description="RFC 3339, UTC, milliseconds.")

    @classmethod
    def of(cls, transfer: Transfer) -> "WithdrawAnswer":
        """Shape a payout as it began. Only of its transfer, which never changes."""
        payout = payout_of(transfer)
        return cls(
            payout_id=payout.id,
            wallet_id=payout.wallet_id,
            amount=payout.amount_minor,
            currency=payout.currency,
            gateway=payout.gateway,
            status="requested",
            destination=_destination(payout),
            transaction_id=encode_id("transfer", transfer.id),
            balance_after=BalanceAfter.of(transfer.debit, transfer.asset),
            created_at=rfc3339(transfer.created_at),
        )


class PayoutAnswer(BaseModel):
    """A payout as it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_EXAMPLE,
                    "status": "paid",
                    "failure_code": None,
                    "updated_at": "2026-01-31T12:00:05.000Z",
                }
            ]
        }
    )

    payout_id: str = Field(description="TypeID.")
    wallet_id: str = Field(description="TypeID.")
    amount: Amount
    currency: CurrencyCode
    gateway: str
    status: Literal["requested", "sent", "paid", "failed"] = Field(
        description="`failed`: the money is back in the wallet."
    )
    destination: DestinationBody
    failure_code: str | None = Field(description="Why it failed, in the gateway's words.")
    transaction_id: str = Field(description="The debit in the wallet.")
    created_at: str = Field(description="RFC 3339, UTC, milliseconds.")
    updated_at: str = Field(description="RFC 3339, UTC, milliseconds.")

    @classmethod
    def of(cls, payout: Payout) -> "PayoutAnswer":
        """Shape a payout for the wire."""
        return cls(
            payout_id=payout.id,
            wallet_id=payout.wallet_id,
            amount=payout.amount_minor,
            currency=payout.currency,
            gateway=payout.gateway,
            status=payout.status.value,
            destination=_destination(payout),
            failure_code=payout.failure_code,
            transaction_id=encode_id("transfer", decode_id("payout", payout.id)),
            created_at=rfc3339(payout.created_at),
            updated_at=rfc3339(payout.updated_at),
        )


def _destination(payout: Payout) -> DestinationBody:
    return DestinationBody(type=payout.destination_type.value, token=payout.destination_token)
