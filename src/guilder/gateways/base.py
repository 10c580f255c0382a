"""What every gateway must do, in Guilder's words. An adapter translates its company's words into
these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from guilder.gateways.errors import GatewayUnknown
from guilder.kernel.money import Money


class GatewayPaymentStatus(StrEnum):
    """What a gateway says about money on its way in."""

    PENDING = "pending"
    """Neither paid nor given up. Everything that is not an explicit end is this."""
    CAPTURED = "captured"
    """The gateway has the money."""
    FAILED = "failed"
    """Explicitly declined or cancelled."""


class GatewayPayoutStatus(StrEnum):
    """What a gateway says about money on its way out."""

    PENDING = "pending"
    """Accepted, not there yet. Everything that is not an explicit end is this."""
    PAID = "paid"
    """It arrived."""
    FAILED = "failed"
    """It did not and will not arrive."""


class SubjectKind(StrEnum):
    """What a webhook is about."""

    PAYMENT = "payment"
    """Money in."""
    PAYOUT = "payout"
    """Money out."""
    OTHER = "other"
    """Nothing that Guilder acts on."""


class DestinationType(StrEnum):
    """Where a payout goes."""

    BANK_ACCOUNT = "bank_account"
    """A bank account that the gateway knows by a token."""
    CARD = "card"
    """A card that the gateway knows by a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a payout goes: the gateway's own token, never an account or card number."""

    type: DestinationType
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A page of the gateway on which a person pays.

    Args:
        reference: The gateway's id of the payment.
        url: Where to send the person's browser.
    """

    reference: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPayment:
    """A payment as the gateway has it.

    Args:
        reference: The gateway's id.
        our_reference: What we called it when we created it.
        money: What was or will be paid, in the gateway's books.
        is_live: Real money, as opposed to the gateway's test mode.
        failure_code: Why it failed, snake_case.
    """

    reference: str
    our_reference: str
    money: Money
    status: GatewayPaymentStatus
    is_live: bool
    failure_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPayout:
    """A payout as the gateway has it. Fields as in `GatewayPayment`."""

    reference: str
    our_reference: str
    money: Money
    status: GatewayPayoutStatus
    is_live: bool
    failure_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """What a genuine webhook says, as far as it is believed: that something should be fetched.

    Args:
        id: The gateway's id of the event; a repeated delivery has the same.
        kind: What it is about.
        reference: The gateway's id of the payment or payout; empty for `OTHER`.
    """

    id: str
    kind: SubjectKind
    reference: str


class Gateway(Protocol):
    """A payment company.

    Every call ends within a fixed time. It raises `GatewayUnclear` when the
    outcome is unknown, and `GatewayRefused` when nothing happened there and never will.
    A call repeated under the same idempotency key has one effect and the same answer.
    """

    @property
    def name(self) -> str:
        """Return the name in addresses, documents and the books' account owners."""

    @property
    def is_live(self) -> bool:
        """Tell whether this one moves real money."""

    async def create_checkout(
        self, idempotency_key: str, *, money: Money, our_reference: str, return_url: str | None
    ) -> Checkout:
        """Ask for a page on which `money` can be paid.

        Args:
            idempotency_key: The id of our payment.
            our_reference: Comes back with every fetch.
            return_url: Where the page sends the browser afterwards. What comes
                back that way is never believed.
        """

    async def fetch_payment(self, reference: str) -> GatewayPayment:
        """Return the payment as the gateway has it now."""

    async def create_payout(
        self, idempotency_key: str, *, money: Money, our_reference: str, destination: Destination
    ) -> GatewayPayout:
        """Send money out."""

    async def fetch_payout(self, reference: str) -> GatewayPayout:
        """Return the payout as the gateway has it now."""

    def verify_webhook(
        self, headers: Mapping[str, str], raw_body: bytes, now: datetime
    ) -> WebhookEvent:
        """Return what a webhook is about, once its signature over the bytes is proven.

        Raises:
            WebhookSignatureInvalid: Forged, stale, or not readable.
        """

    async def aclose(self) -> None:
        """Give the connections back."""


class Gateways:
    """The gateways that this deployment has set up, by name.

    Args:
        gateways: At least one; the first is used when a request names none.
    """

    def __init__(self, *gateways: Gateway) -> None:
        self._by_name = {gateway.name: gateway for gateway in gateways}

    @property
    def names(self) -> tuple[str, ...]:
        """Return their names; the first is the default."""
        return tuple(self._by_name)

    def pick(self, name: str | None) -> Gateway:
        """Return the gateway of that name, or the default one for None.

        Raises:
            GatewayUnknown: None of that name is set up, or none at all.
        """
        wanted = name or next(iter(self._by_name), "")
        try:
            return self._by_name[wanted]
        except KeyError:
            message = f"Set up here: {', '.join(self._by_name) or 'none'}."
            raise GatewayUnknown(message) from None

    async def aclose(self) -> None:
        """Give all connections back."""
        for gateway in self._by_name.values():
            await gateway.aclose()
