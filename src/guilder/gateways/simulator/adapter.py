"""Guilder's side of the simulator: the `Gateway` protocol over HTTP, as any other company's
adapter.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, TypeVar

import httpx2
import msgspec
from msgspec import Meta, Struct

from guilder.gateways.base import (
    Checkout,
    Destination,
    GatewayPayment,
    GatewayPaymentStatus,
    GatewayPayout,
    GatewayPayoutStatus,
    SubjectKind,
    WebhookEvent,
)
from guilder.gateways.errors import GatewayRefused, GatewayUnclear, WebhookSignatureInvalid
from guilder.gateways.simulator.config import SimulatorConfig
from guilder.gateways.simulator.signatures import HEADER, verify
from guilder.kernel.currency import UnknownCurrency, currency
from guilder.kernel.money import Money

T = TypeVar("T")

_ID = Annotated[str, Meta(min_length=1, max_length=100)]
_DEFINITE = (400, 404, 422)
"""Answers after which nothing happened there. All others, 401 and 409 too, leave it unknown."""

_PAYMENTS = {
    "captured": GatewayPaymentStatus.CAPTURED,
    "declined": GatewayPaymentStatus.FAILED,
    "cancelled": GatewayPaymentStatus.FAILED,
}
_PAYOUTS = {"paid": GatewayPayoutStatus.PAID, "failed": GatewayPayoutStatus.FAILED}
_FAILURES = {"declined": "declined", "cancelled": "cancelled", "failed": "account_unreachable"}


class _Object(Struct, frozen=True):
    """A payment or payout in the simulator's words."""

    id: _ID
    amount: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    currency: str
    reference: str
    status: str
    mode: str


class _Opened(_Object, frozen=True):
    """A payment with the page on which to pay it."""

    url: str


class _Why(Struct, frozen=True):
    """A reason."""

    code: str


class _Problem(Struct, frozen=True):
    """A refusal in the simulator's words."""

    error: _Why


class _EventData(Struct, frozen=True):
    """What an event is about."""

    id: _ID


class _Event(Struct, frozen=True):
    """A webhook in the simulator's words."""

    id: _ID
    type: str
    data: _EventData


class SimulatorGateway:
    """The simulator as Guilder sees it. See `Gateway` for the promises of each call."""

    name = "simulator"
    is_live = False

    def __init__(self, config: SimulatorConfig) -> None:
        self._config = config
        self._client = httpx2.AsyncClient(
            headers={"authorization": f"Bearer {config.api_secret}"},
            timeout=config.timeout_ms / 1000,
            trust_env=False,
        )

    async def create_checkout(
        self, idempotency_key: str, *, money: Money, our_reference: str, return_url: str | None
    ) -> Checkout:
        """Ask for a page on which `money` can be paid."""
        body = {**_amount(money), "reference": our_reference, "return_url": return_url}
        opened = await self._post("payments", idempotency_key, body, _Opened)
        return Checkout(reference=opened.id, url=opened.url)

    async def fetch_payment(self, reference: str) -> GatewayPayment:
        """Return the payment as the simulator has it now."""
        found = await self._get("payments", reference)
        return GatewayPayment(
            reference=found.id,
            our_reference=found.reference,
            money=_money(found),
            status=_PAYMENTS.get(found.status, GatewayPaymentStatus.PENDING),
            is_live=found.mode != "test",
            failure_code=_FAILURES.get(found.status),
        )

    async def create_payout(
        self, idempotency_key: str, *, money: Money, our_reference: str, destination: Destination
    ) -> GatewayPayout:
        """Send money out."""
        body = {**_amount(money), "reference": our_reference, "destination": destination.token}
        return _payout(await self._post("payouts", idempotency_key, body, _Object))

    async def fetch_payout(self, reference: str) -> GatewayPayout:
        """Return the payout as the simulator has it now."""
        return _payout(await self._get("payouts", reference))

    def verify_webhook(
        self, headers: Mapping[str, str], raw_body: bytes, now: datetime
    ) -> WebhookEvent:
        """Return what a webhook is about, once its signature over the bytes is proven."""
        verify(
            headers.get(HEADER, ""),
            raw_body,
            secrets=self._config.webhook_secrets,
            now=now,
            tolerance_s=self._config.tolerance_s,
        )
        try:
            event = msgspec.json.decode(raw_body, type=_Event)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise WebhookSignatureInvalid from None
        subject = event.type.partition(".")[0]
        known = subject in (SubjectKind.PAYMENT, SubjectKind.PAYOUT)
        kind = SubjectKind(subject) if known else SubjectKind.OTHER
        return WebhookEvent(id=event.id, kind=kind, reference=event.data.id if known else "")

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def _post(self, path: str, key: str, body: Mapping[str, object], model: type[T]) -> T:
        request = self._client.build_request(
            "POST",
            f"{self._config.api_url}/v1/{path}",
            json=body,
            headers={"idempotency-key": key},
        )
        return await self._ask(request, model)

    async def _get(self, path: str, reference: str) -> _Object:
        # A reference may come out of a webhook: only what cannot leave its place in the path.
        if not reference.isascii() or not reference.replace("_", "").isalnum():
            raise GatewayRefused("not_found")
        url = f"{self._config.api_url}/v1/{path}/{reference}"
        return await self._ask(self._client.build_request("GET", url), _Object)

    async def _ask(self, request: httpx2.Request, model: type[T]) -> T:
        try:
            answer = await self._client.send(request)
        except httpx2.HTTPError as error:
            raise GatewayUnclear(f"No answer: {type(error).__name__}.") from error
        if answer.status_code in _DEFINITE:
            raise GatewayRefused(_decode(answer, _Problem).error.code)
        if not answer.is_success:
            raise GatewayUnclear(f"It answered {answer.status_code}.")
        return _decode(answer, model)


def _decode(answer: httpx2.Response, model: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=model)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GatewayUnclear("Its answer cannot be read.") from error


def _amount(money: Money) -> dict[str, object]:
    return {"amount": money.amount_minor, "currency": money.currency.code}


def _money(found: _Object) -> Money:
    try:
        return Money(found.amount, currency(found.currency))
    except UnknownCurrency as error:
        raise GatewayUnclear("Its answer names an unknown currency.") from error


def _payout(found: _Object) -> GatewayPayout:
    return GatewayPayout(
        reference=found.id,
        our_reference=found.reference,
        money=_money(found),
        status=_PAYOUTS.get(found.status, GatewayPayoutStatus.PENDING),
        is_live=found.mode != "test",
        failure_code=_FAILURES.get(found.status),
    )
