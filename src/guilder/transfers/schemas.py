"""Transfers on the wire."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from guilder.kernel.clock import rfc3339
from guilder.kernel.ids import WalletId, encode_id
from guilder.storage.records import Transfer
from guilder.wallets.schemas import (
    Amount,
    BalanceAfter,
    CurrencyCode,
    Description,
    RecipientBody,
    Time,
)
from guilder.wallets.service import TRANSFER_PREFIX

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)


class TransferBody(BaseModel):
    """What somebody asks to send."""

    model_config = ConfigDict(
        **_STRICT,
        json_schema_extra={
            "examples": [
                {
                    "amount": 1250,
                    "currency": "USD",
                    "to": {"email": "payee@example.com"},
                    "description": "Dinner",
                }
            ]
        },
    )

    amount: Amount
    currency: CurrencyCode
    to: RecipientBody
    description: Description = ""


class TransferCounterparty(BaseModel):
    """The recipient's wallet."""

    wallet_id: str = Field(examples=["wallet_01h455vb4pex5vsknk084sn02q"])


class TransferAnswer(BaseModel):
    """A transfer that is in the journal, seen from the sender. The same for every retry."""

    transaction_id: str = Field(examples=["transfer_01h455vb4pex5vsknk084sn02q"])
    wallet_id: str = Field(examples=["wallet_01h2xcejqtf2nbrexx3vqjhp41"])
    type: Annotated[str, Field(pattern="^debit$")] = "debit"
    amount: Amount
    currency: CurrencyCode
    status: Annotated[str, Field(pattern="^completed$")] = "completed"
    timestamp: Time
    counterparty: TransferCounterparty
    description: Description
    balance_after: BalanceAfter

    @classmethod
    def of(cls, transfer: Transfer, *, sender: WalletId) -> "TransferAnswer":
        """Return a transfer as its sender sees it. Only of what the journal keeps."""
        return cls(
            transaction_id=encode_id(TRANSFER_PREFIX, transfer.id),
            wallet_id=sender,
            amount=transfer.amount_minor,
            currency=transfer.asset,
            timestamp=rfc3339(transfer.created_at),
            counterparty=TransferCounterparty(wallet_id=transfer.metadata["to"]),
            description=transfer.metadata.get("description", ""),
            balance_after=BalanceAfter.of(transfer.debit, transfer.asset),
        )
