"""Wallets on the wire."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from guilder.kernel.clock import rfc3339, to_milliseconds
from guilder.kernel.currency import UnknownCurrency, currency
from guilder.kernel.ids import encode_id
from guilder.kernel.money import MAX_MINOR
from guilder.storage.records import Account, Leg
from guilder.wallets.models import Wallet
from guilder.wallets.recipients import Recipient
from guilder.wallets.rules import Line, TransactionStatus, TransactionType
from guilder.wallets.service import TRANSFER_PREFIX, Party, WalletView

Amount = Annotated[int, Field(ge=1, le=MAX_MINOR, description="Minor units.", examples=[1250])]
Time = Annotated[str, Field(examples=["2026-01-31T12:00:00.000Z"], description="RFC 3339, UTC.")]
CurrencyCode = Annotated[
    str, Field(min_length=3, max_length=32, description="ISO 4217 code.", examples=["USD"])
]


def _known(code: str) -> str:
    """Refuse a currency that there is not, where nobody looks it up later."""
    try:
        return currency(code).code
    except UnknownCurrency as error:
        raise ValueError(error.detail) from error


KnownCurrency = Annotated[CurrencyCode, AfterValidator(_known)]
"""A currency to filter by: one that there is not would find nothing for ever."""


def _utc(value: object) -> datetime:
    """Read a time as it goes over the wire, to the millisecond."""
    message = "Give an RFC 3339 time with its offset from UTC, such as `Z`."
    if not isinstance(value, str):
        raise ValueError(message)  # noqa: TRY004 - pydantic makes a field error of it
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is not None:
            return to_milliseconds(time.astimezone(UTC))
    except (ValueError, OverflowError):
        pass
    raise ValueError(message)


GivenTime = Annotated[
    datetime,
    BeforeValidator(_utc),
    Field(examples=["2027-01-31T12:00:00.000Z"], description="RFC 3339, with an offset from UTC."),
]
"""A time in a request."""
_Address = Annotated[str, StringConstraints(min_length=1, max_length=254)]

Description = Annotated[
    str,
    StringConstraints(max_length=200),
    Field(description="Shown to both sides.", examples=["Dinner"]),
]


class RecipientBody(BaseModel):
    """Somebody with a wallet: exactly one of the three."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    email: _Address | None = Field(default=None, examples=["payee@example.com"])
    phone: _Address | None = Field(default=None, examples=["+12025550123"])
    wallet_id: _Address | None = Field(default=None, examples=["wallet_01h455vb4pex5vsknk084sn02q"])

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if sum(each is not None for each in (self.email, self.phone, self.wallet_id)) != 1:
            message = "Give exactly one of email, phone and wallet_id."
            raise ValueError(message)
        return self

    @property
    def recipient(self) -> Recipient:
        """Return who is meant."""
        return Recipient(email=self.email, phone=self.phone, wallet_id=self.wallet_id)


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Balance(_Wire):
    """What stands in one currency, in minor units. `available` = `posted` - `pending_out`."""

    currency: CurrencyCode
    posted: int = Field(description="Has moved.", examples=[5000])
    pending_in: int = Field(description="Held elsewhere for this wallet.", examples=[0])
    pending_out: int = Field(description="Held here for others.", examples=[0])
    available: int = Field(description="May be spent.", examples=[5000])
    version: int = Field(description="Grows with each transaction.", examples=[3])
    as_of: Time

    @classmethod
    def of(cls, account: Account, *, as_of: datetime) -> "Balance":
        """Return what stands on an account."""
        return cls(
            currency=account.asset,
            posted=account.posted,
            pending_in=account.pending_in,
            pending_out=account.pending_out,
            available=account.available,
            version=account.sequence,
            as_of=rfc3339(as_of),
        )


class BalanceAfter(_Wire):
    """The balance that a transaction left, in minor units."""

    currency: CurrencyCode
    posted: int = Field(examples=[3750])
    pending_in: int = Field(examples=[0])
    pending_out: int = Field(examples=[0])
    available: int = Field(examples=[3750])
    version: int = Field(examples=[4])

    @classmethod
    def of(cls, leg: Leg, currency: str) -> "BalanceAfter":
        """Return the balance on one side of a transfer."""
        return cls(
            currency=currency,
            posted=leg.posted,
            pending_in=leg.pending_in,
            pending_out=leg.pending_out,
            available=leg.posted - leg.pending_out,
            version=leg.sequence,
        )


class WalletAnswer(_Wire):
    """A wallet. `balance` is what may be spent in its default currency."""

    wallet_id: str = Field(examples=["wallet_01h455vb4pex5vsknk084sn02q"])
    user_id: str = Field(examples=["user_01h455vb4pex5vsknk084sn02q"])
    balance: int = Field(description="Available minor units of `currency`.", examples=[5000])
    currency: CurrencyCode
    status: Literal["open", "frozen", "closed"] = Field(
        description="`frozen`: nothing leaves it. `closed`: nothing moves any more."
    )
    balances: list[Balance]
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, view: WalletView) -> "WalletAnswer":
        """Return a wallet as its owner sees it."""
        wallet = view.wallet
        default = next(a for a in view.accounts if a.asset == wallet.default_currency)
        return cls(
            wallet_id=wallet.id,
            user_id=wallet.user_id,
            balance=default.available,
            currency=wallet.default_currency,
            status=_status(wallet),
            balances=[Balance.of(account, as_of=view.as_of) for account in view.accounts],
            created_at=rfc3339(wallet.created_at),
            updated_at=rfc3339(wallet.updated_at),
        )


def _status(wallet: Wallet) -> Literal["open", "frozen", "closed"]:
    if wallet.is_closed:
        return "closed"
    return "frozen" if wallet.is_frozen else "open"


class Counterparty(_Wire):
    """The other side: a wallet with its user's name, or a gateway by name."""

    wallet_id: str | None = Field(examples=["wallet_01h455vb4pex5vsknk084sn02q"])
    name: str | None = Field(examples=["simulator"])


class TransactionAnswer(_Wire):
    """A line of a wallet's history. It never changes."""

    transaction_id: str = Field(examples=["transfer_01h455vb4pex5vsknk084sn02q"])
    wallet_id: str = Field(examples=["wallet_01h455vb4pex5vsknk084sn02q"])
    type: TransactionType
    amount: Amount
    currency: CurrencyCode
    status: TransactionStatus
    timestamp: Time
    counterparty: Counterparty
    description: str = Field(examples=["Dinner"])
    category: str = Field(description="The business event.", examples=["transfer"])
    balance_after: BalanceAfter
    position: int = Field(description="Place in the journal.", examples=[42])

    @classmethod
    def of(cls, line: Line, *, wallet_id: str, party: Party) -> "TransactionAnswer":
        """Return one line of a wallet's history."""
        transfer = line.transfer
        return cls(
            transaction_id=encode_id(TRANSFER_PREFIX, transfer.id),
            wallet_id=wallet_id,
            type=line.type,
            amount=transfer.amount_minor,
            currency=transfer.asset,
            status=line.status,
            timestamp=rfc3339(transfer.created_at),
            counterparty=Counterparty(wallet_id=party.wallet_id, name=party.name),
            description=transfer.metadata.get("description", ""),
            category=transfer.code,
            balance_after=BalanceAfter.of(line.leg, transfer.asset),
            position=transfer.position,
        )


class TransactionsAnswer(_Wire):
    """A page of a wallet's history, newest first."""

    data: list[TransactionAnswer]
    has_more: bool
    next_cursor: str | None


class TransactionsQuery(BaseModel):
    """Filters of the history. Others are refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: TransactionType | None = None
    status: TransactionStatus | None = None
    currency: KnownCurrency | None = None
    created_at_least: Annotated[
        GivenTime | None, Field(alias="created[gte]", description="RFC 3339; this time or later.")
    ] = None
    created_below: Annotated[
        GivenTime | None, Field(alias="created[lt]", description="RFC 3339; earlier than this.")
    ] = None
    amount_at_least: Annotated[
        int | None, Field(alias="amount[gte]", ge=0, le=MAX_MINOR, description="Minor units.")
    ] = None
    amount_below: Annotated[
        int | None, Field(alias="amount[lt]", ge=0, le=MAX_MINOR, description="Minor units.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Annotated[str | None, Field(max_length=1024)] = None
