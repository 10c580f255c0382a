"""Transfers on the wire."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from guilder.kernel.clock import rfc3339
from guilder.kernel.ids import WalletId, encode_id
from guilder.storage.records import Transfer
from guilder.transfers.rules import notes_of
from guilder.transfers.service import Sent, Shown
from guilder.wallets.rules import TransactionType
from guilder.wallets.schemas import (
    Amount,
    BalanceAfter,
    CurrencyCode,
    Description,
    GivenTime,
    RecipientBody,
    Time,
)
from guilder.wallets.service import TRANSFER_PREFIX

Reference = Annotated[
    str,
    StringConstraints(max_length=100),
    Field(description="For both sides, such as an invoice's number.", examples=["INV-2026-17"]),
]
_NoteName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]
_NoteText = Annotated[str, StringConstraints(max_length=200)]
Notes = Annotated[
    dict[_NoteName, _NoteText],
    Field(
        max_length=20, description="Notes for the sender alone.", examples=[{"project": "north"}]
    ),
]

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


class TransferOrder(BaseModel):
    """What somebody asks to send, with everything that may be said about it."""

    model_config = ConfigDict(
        **_STRICT,
        json_schema_extra={
            "examples": [
                {
                    "amount": 1250,
                    "currency": "USD",
                    "to": {"email": "payee@example.com"},
                    "description": "Dinner",
                    "reference": "INV-2026-17",
                    "metadata": {"project": "north"},
                }
            ]
        },
    )

    amount: Amount
    currency: CurrencyCode
    to: RecipientBody
    description: Description = ""
    effective_at: Annotated[
        GivenTime | None,
        Field(description="When it counts, for accounting. The money moves at once in any case."),
    ] = None
    reference: Reference = ""
    metadata: Notes = {}


class TransferDetails(BaseModel):
    """A transfer that is in the journal, seen from one of its sides. The same for every retry."""

    transaction_id: str = Field(examples=["transfer_01h455vb4pex5vsknk084sn02q"])
    wallet_id: str = Field(examples=["wallet_01h2xcejqtf2nbrexx3vqjhp41"])
    type: TransactionType
    amount: Amount
    currency: CurrencyCode
    status: Literal["completed"] = "completed"
    timestamp: Time
    effective_at: Time
    counterparty: TransferCounterparty
    description: Description
    reference: Reference
    metadata: Notes = Field(description="The sender's own notes; empty for the recipient.")
    reverses: str | None = Field(
        description="The transaction that this one gives back, in part or whole.",
        examples=[None],
    )
    balance_after: BalanceAfter

    @classmethod
    def of(
        cls, transfer: Transfer, *, wallet_id: WalletId, counterparty: str, is_debit: bool = True
    ) -> "TransferDetails":
        """Return a transfer as one side sees it. Only of what the journal keeps."""
        reversed_id = transfer.reverses_id
        return cls(
            transaction_id=encode_id(TRANSFER_PREFIX, transfer.id),
            wallet_id=wallet_id,
            type=TransactionType.DEBIT if is_debit else TransactionType.CREDIT,
            amount=transfer.amount_minor,
            currency=transfer.asset,
            timestamp=rfc3339(transfer.created_at),
            effective_at=rfc3339(transfer.effective_at),
            counterparty=TransferCounterparty(wallet_id=counterparty),
            description=transfer.metadata.get("description", ""),
            reference=transfer.reference,
            metadata=notes_of(transfer) if is_debit else {},
            reverses=encode_id(TRANSFER_PREFIX, reversed_id) if reversed_id else None,
            balance_after=BalanceAfter.of(
                transfer.debit if is_debit else transfer.credit, transfer.asset
            ),
        )

    @classmethod
    def sent(cls, transfer: Transfer, *, sender: WalletId) -> "TransferDetails":
        """Return a transfer as whoever sent it sees it."""
        return cls.of(transfer, wallet_id=sender, counterparty=transfer.metadata["to"])


class ShownTransfer(TransferDetails):
    """A transfer as it stands now."""

    reversed_amount: int = Field(
        description="How much of it was given back, in minor units.", examples=[0]
    )

    @classmethod
    def at(cls, shown: Shown, *, viewer: WalletId) -> "ShownTransfer":
        """Return a transfer for one of its sides."""
        details = TransferDetails.of(
            shown.transfer,
            wallet_id=viewer,
            counterparty=shown.counterparty,
            is_debit=shown.is_debit,
        )
        return cls(**details.model_dump(), reversed_amount=shown.reversed_minor)


class TransferPreview(BaseModel):
    """What a transfer would come to. Nothing was changed."""

    dry_run: Literal[True] = True
    would: Literal["complete", "replay"] = Field(
        description="`replay`: it was sent under this key before."
    )
    amount: Amount
    currency: CurrencyCode
    counterparty: TransferCounterparty
    balance_after: BalanceAfter

    @classmethod
    def of(cls, sent: Sent) -> "TransferPreview":
        """Return what would happen, or has."""
        transfer = sent.transfer
        return cls(
            would="replay" if sent.is_replayed else "complete",
            amount=transfer.amount_minor,
            currency=transfer.asset,
            counterparty=TransferCounterparty(wallet_id=transfer.metadata["to"]),
            balance_after=BalanceAfter.of(transfer.debit, transfer.asset),
        )


class TransferQuery(BaseModel):
    """How a transfer is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dry_run: Annotated[
        bool, Field(description="Answer what would happen, with 200, and change nothing at all.")
    ] = False


class ReversalBody(BaseModel):
    """How much of a received transfer is given back."""

    model_config = ConfigDict(
        **_STRICT, json_schema_extra={"examples": [{"amount": 500, "description": "Refund"}]}
    )

    amount: Annotated[Amount | None, Field(description="All that is left of it, if left out.")] = (
        None
    )
    description: Description = ""
