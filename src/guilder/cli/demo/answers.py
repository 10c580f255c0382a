"""What the story reads out of answers. Unknown fields are tolerated, as by every client."""

from msgspec import Struct


class User(Struct, frozen=True):
    """A registered user."""

    id: str
    email: str
    wallet_id: str


class Session(Struct, frozen=True):
    """What signing in gives."""

    access_token: str
    user: User


class Wallet(Struct, frozen=True):
    """A wallet in its default currency; `balance` in minor units."""

    wallet_id: str
    balance: int
    currency: str


class Payment(Struct, frozen=True):
    """Money on its way in."""

    payment_id: str
    status: str
    checkout_url: str | None = None


class Payout(Struct, frozen=True):
    """Money on its way out."""

    payout_id: str
    status: str


class Counterparty(Struct, frozen=True):
    """The other side of a transaction."""

    name: str | None = None


class BalanceAfter(Struct, frozen=True):
    """The balance that a transaction left, in minor units."""

    posted: int


class Transaction(Struct, frozen=True):
    """A line of a wallet's history; `amount` in minor units, its side in `type`."""

    transaction_id: str
    type: str
    amount: int
    currency: str
    timestamp: str
    counterparty: Counterparty | None = None
    description: str | None = None
    category: str | None = None
    balance_after: BalanceAfter | None = None

    @property
    def signed(self) -> int:
        """Minor units as the wallet feels them: credits above zero, debits below."""
        return self.amount if self.type == "credit" else -self.amount


class TransactionPage(Struct, frozen=True):
    """A page of history, newest first."""

    data: list[Transaction]
    has_more: bool
    next_cursor: str | None = None


class Problem(Struct, frozen=True):
    """An error answer."""

    code: str
    detail: str
    status: int


class Verification(Struct, frozen=True):
    """What `guilder verify --json` prints; `totals` in minor units, of the accounts above zero."""

    ok: bool
    transfers: int
    accounts: int
    position: int
    totals: dict[str, int]
