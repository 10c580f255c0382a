"""Requests for money on the wire."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from guilder.identity.authentication import Principal
from guilder.kernel.clock import rfc3339
from guilder.kernel.ids import encode_id
from guilder.payment_requests.models import PaymentRequest
from guilder.payment_requests.rules import PaymentRequestStatus, Role
from guilder.storage.records import Transfer
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
_REQUEST_ID = "payment_request_01h455vb4pex5vsknk084sn02q"
_WALLET_ID = "wallet_01h455vb4pex5vsknk084sn02q"
_TRANSFER_ID = "transfer_01h455vb4pex5vsknk084sn02q"


class PaymentRequestBody(BaseModel):
    """What somebody asks for, and of whom."""

    model_config = ConfigDict(
        **_STRICT,
        validate_by_name=True,
        validate_by_alias=True,
        json_schema_extra={
            "examples": [
                {
                    "amount": 1250,
                    "currency": "USD",
                    "from": {"email": "payer@example.com"},
                    "description": "Dinner",
                }
            ]
        },
    )

    amount: Amount
    currency: CurrencyCode
    payer: Annotated[
        RecipientBody | None,
        Field(alias="from", description="Who is asked. Left out: whoever gets the link may pay."),
    ] = None
    description: Description = ""
    expires_at: Annotated[
        GivenTime | None, Field(description="At most 366 days away. Left out: in 30 days.")
    ] = None


class Payee(BaseModel):
    """Who asks for the money."""

    wallet_id: str = Field(examples=[_WALLET_ID])
    name: str = Field(description="As it was when asking.", examples=["Payee"])


class Payer(BaseModel):
    """Who is asked for the money, or has paid it."""

    wallet_id: str = Field(examples=[_WALLET_ID])


class PaymentRequestAnswer(BaseModel):
    """A request for money. `payer` is null in an open one until somebody pays it."""

    payment_request_id: str = Field(examples=[_REQUEST_ID])
    amount: Amount
    currency: CurrencyCode
    description: Description
    status: PaymentRequestStatus
    is_open: bool = Field(description="Whoever gets the link may pay.")
    payee: Payee
    payer: Payer | None
    link: str = Field(
        description="Page that shows an open request; the QR code leads to it.",
        examples=[f"https://guilder.example/pay/{_REQUEST_ID}"],
    )
    transaction_id: str | None = Field(examples=[_TRANSFER_ID])
    expires_at: Time
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, request: PaymentRequest, *, link: str, viewer: Principal) -> "PaymentRequestAnswer":
        """Return a request as somebody may see it: who has paid is for the two parties."""
        is_party = viewer.wallet_id in (request.payee_wallet_id, request.payer_wallet_id)
        payer = request.payer_wallet_id if is_party else None
        return cls(
            payment_request_id=request.id,
            amount=request.amount_minor,
            currency=request.currency,
            description=request.description,
            status=request.status,
            is_open=request.is_open,
            payee=Payee(wallet_id=request.payee_wallet_id, name=request.payee_name),
            payer=None if payer is None else Payer(wallet_id=payer),
            link=link,
            transaction_id=request.transfer_id if is_party else None,
            expires_at=rfc3339(request.expires_at),
            created_at=rfc3339(request.created_at),
            updated_at=rfc3339(request.updated_at),
        )

    @classmethod
    def as_created(
        cls, request: PaymentRequest, *, link: str, viewer: Principal
    ) -> "PaymentRequestAnswer":
        """Return a request as it was when new, whatever became of it: retries get one answer."""
        return cls.of(request, link=link, viewer=viewer).model_copy(
            update={
                "status": PaymentRequestStatus.PENDING,
                "payer": None
                if request.is_open or request.payer_wallet_id is None
                else Payer(wallet_id=request.payer_wallet_id),
                "transaction_id": None,
                "updated_at": rfc3339(request.created_at),
            }
        )


class PaymentRequestsAnswer(BaseModel):
    """A page of requests, newest first."""

    data: list[PaymentRequestAnswer]
    has_more: bool
    next_cursor: str | None


class PaymentRequestsQuery(BaseModel):
    """Which requests. Others parameters are refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Annotated[
        Role, Field(description="`payee`: what you ask for. `payer`: what you are asked for.")
    ] = Role.PAYEE
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Annotated[str | None, Field(max_length=1024)] = None


class PaidAnswer(BaseModel):
    """The transaction that paid a request, seen from the payer. The same for every retry."""

    payment_request_id: str = Field(examples=[_REQUEST_ID])
    transaction_id: str = Field(examples=[_TRANSFER_ID])
    wallet_id: str = Field(examples=["wallet_01h2xcejqtf2nbrexx3vqjhp41"])
    type: Literal["debit"] = "debit"
    amount: Amount
    currency: CurrencyCode
    status: Literal["completed"] = "completed"
    timestamp: Time
    counterparty: Payer
    description: Description
    balance_after: BalanceAfter

    @classmethod
    def of(cls, transfer: Transfer) -> "PaidAnswer":
        """Return a payment as the payer sees it. Only of what the journal keeps."""
        said = transfer.metadata
        return cls(
            payment_request_id=said["payment_request"],
            transaction_id=encode_id(TRANSFER_PREFIX, transfer.id),
            wallet_id=said["from"],
            amount=transfer.amount_minor,
            currency=transfer.asset,
            timestamp=rfc3339(transfer.created_at),
            counterparty=Payer(wallet_id=said["to"]),
            description=said.get("description", ""),
            balance_after=BalanceAfter.of(transfer.debit, transfer.asset),
        )
