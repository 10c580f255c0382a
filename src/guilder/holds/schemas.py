"""Holds on the wire."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from guilder.holds.rules import HoldStatus
from guilder.holds.service import Done, HoldView
from guilder.kernel.clock import rfc3339
from guilder.kernel.ids import WalletId, encode_id
from guilder.storage.records import Transfer, TransferKind
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

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)
HoldIdText = Annotated[str, Field(examples=["hold_01h455vb4pex5vsknk084sn02q"])]
WalletIdText = Annotated[str, Field(examples=["wallet_01h455vb4pex5vsknk084sn02q"])]


class HoldBody(BaseModel):
    """What somebody asks to set aside."""

    model_config = ConfigDict(
        **_STRICT,
        json_schema_extra={
            "examples": [
                {
                    "amount": 20000,
                    "currency": "USD",
                    "to": {"email": "hotel@example.com"},
                    "expires_at": "2026-02-07T12:00:00Z",
                    "description": "Deposit",
                }
            ]
        },
    )

    amount: Amount
    currency: CurrencyCode
    to: RecipientBody
    expires_at: Annotated[
        GivenTime | None, Field(description="Within 90 days; a week from now if left out.")
    ] = None
    description: Description = ""


class CaptureBody(BaseModel):
    """How much of a hold its recipient takes."""

    model_config = ConfigDict(
        **_STRICT, json_schema_extra={"examples": [{"amount": 15000, "keep_rest": False}]}
    )

    amount: Annotated[Amount | None, Field(description="All that is left, if left out.")] = None
    keep_rest: bool = Field(
        default=False,
        description="Keep the rest reserved, for another capture. Else it goes back.",
    )


class HoldAnswer(BaseModel):
    """A hold as it was made. The same for every retry."""

    hold_id: HoldIdText
    wallet_id: WalletIdText = Field(description="The payer's.")
    payee_wallet_id: WalletIdText
    amount: Amount
    currency: CurrencyCode
    status: HoldStatus
    remaining: int = Field(description="Still reserved, in minor units.", examples=[20000])
    description: Description
    expires_at: Time
    created_at: Time
    balance_after: BalanceAfter = Field(description="The payer's, when the hold was made.")

    @classmethod
    def of(cls, made: Transfer, *, payer: WalletId, payee: WalletId) -> "HoldAnswer":
        """Return a hold as it began. Only of what the journal keeps."""
        return cls(
            hold_id=encode_id("hold", made.id),
            wallet_id=payer,
            payee_wallet_id=payee,
            amount=made.amount_minor,
            currency=made.asset,
            status=HoldStatus.HELD,
            remaining=made.amount_minor,
            description=made.metadata.get("description", ""),
            expires_at=rfc3339(made.expires_at or made.created_at),
            created_at=rfc3339(made.created_at),
            balance_after=BalanceAfter.of(made.debit, made.asset),
        )


class DryRunQuery(BaseModel):
    """Whether something shall only be tried."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dry_run: Annotated[
        bool, Field(description="Answer what would happen, with 200, and change nothing at all.")
    ] = False


class HoldPreview(BaseModel):
    """What a hold or a capture would come to. Nothing was changed."""

    dry_run: Literal[True] = True
    would: Literal["complete", "replay"] = Field(
        description="`replay`: it was done under this key before."
    )
    amount: Amount
    currency: CurrencyCode
    wallet_id: WalletIdText = Field(description="Of whoever asks.")
    counterparty_wallet_id: WalletIdText
    balance_after: BalanceAfter = Field(description="Of whoever asks.")

    @classmethod
    def of(cls, done: Done, *, asker: WalletId) -> "HoldPreview":
        """Return what would happen, or has, as its payer (of a hold) or payee sees it."""
        transfer = done.transfer
        leg = transfer.debit if transfer.kind is TransferKind.HOLD else transfer.credit
        return cls(
            would="replay" if done.is_replayed else "complete",
            amount=transfer.amount_minor,
            currency=transfer.asset,
            wallet_id=asker,
            counterparty_wallet_id=done.counterparty,
            balance_after=BalanceAfter.of(leg, transfer.asset),
        )


class HoldStanding(BaseModel):
    """A hold as it stands now."""

    hold_id: HoldIdText
    wallet_id: WalletIdText = Field(description="The payer's.")
    payee_wallet_id: WalletIdText
    amount: Amount
    currency: CurrencyCode
    status: HoldStatus
    remaining: int = Field(description="Still reserved, in minor units.", examples=[5000])
    description: Description
    expires_at: Time
    created_at: Time

    @classmethod
    def of(cls, view: HoldView) -> "HoldStanding":
        """Return a hold as both of its sides may see it."""
        began = HoldAnswer.of(view.made, payer=view.payer, payee=view.payee)
        return cls(
            **began.model_dump(exclude={"balance_after", "status", "remaining"}),
            status=view.status,
            remaining=view.hold.remaining_minor,
        )


class CaptureAnswer(BaseModel):
    """A capture that is in the journal, seen from the recipient. The same for every retry."""

    transaction_id: str = Field(examples=["transfer_01h455vb4pex5vsknk084sn02q"])
    hold_id: HoldIdText
    wallet_id: WalletIdText
    payer_wallet_id: WalletIdText
    amount: Amount
    currency: CurrencyCode
    timestamp: Time
    balance_after: BalanceAfter

    @classmethod
    def of(cls, done: Done, *, hold_id: str, payee: WalletId) -> "CaptureAnswer":
        """Return a capture as its recipient sees it. Only of what the journal keeps."""
        transfer = done.transfer
        return cls(
            transaction_id=encode_id(TRANSFER_PREFIX, transfer.id),
            hold_id=hold_id,
            wallet_id=payee,
            payer_wallet_id=done.counterparty,
            amount=transfer.amount_minor,
            currency=transfer.asset,
            timestamp=rfc3339(transfer.created_at),
            balance_after=BalanceAfter.of(transfer.credit, transfer.asset),
        )


class ReleaseAnswer(BaseModel):
    """The release of a hold. There is one at most, the same for whoever asks."""

    hold_id: HoldIdText
    status: HoldStatus
    amount: Amount = Field(description="What went back to the payer, in minor units.")
    currency: CurrencyCode
    timestamp: Time

    @classmethod
    def of(cls, transfer: Transfer, *, hold_id: str) -> "ReleaseAnswer":
        """Return a release. Only of what the journal keeps."""
        is_over = transfer.code == "hold_expired"
        return cls(
            hold_id=hold_id,
            status=HoldStatus.EXPIRED if is_over else HoldStatus.RELEASED,
            amount=transfer.amount_minor,
            currency=transfer.asset,
            timestamp=rfc3339(transfer.created_at),
        )
