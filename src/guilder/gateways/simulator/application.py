"""The simulated company over HTTP: an API with a bearer secret, the checkout page, and the sender
beside them.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from guilder.gateways.return_urls import origin_of
from guilder.gateways.simulator.config import SimulatorConfig
from guilder.gateways.simulator.models import FaultScript, SimulatedPayment, SimulatedPayout
from guilder.gateways.simulator.pages import DECISIONS, checkout_page, is_form_token
from guilder.gateways.simulator.refusal import Refused
from guilder.gateways.simulator.sender import WebhookSender
from guilder.gateways.simulator.service import Simulator
from guilder.kernel.clock import Clock, utc_now
from guilder.kernel.currency import currency
from guilder.kernel.errors import GuilderError, Unavailable
from guilder.ledger.background import BackgroundTask
from guilder.storage.base import Storage

T = TypeVar("T", bound=Struct)

_Amount = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_Text = Annotated[str, Meta(min_length=1, max_length=255)]


class NewPayment(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/payments`."""

    amount: _Amount
    currency: _Text
    reference: _Text
    return_url: str | None = None


class NewPayout(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/payouts`."""

    amount: _Amount
    currency: _Text
    reference: _Text
    destination: _Text


class NewScript(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/scripts/{reference}`; the fields of `FaultScript`."""

    copies: Annotated[int, Meta(ge=1, le=20)] = 1
    delay_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0
    is_reordered: bool = False
    is_forged: bool = False
    is_lost: bool = False
    hang_ms: Annotated[int, Meta(ge=0, le=60_000)] | None = None
    reported_amount_minor: _Amount | None = None


class SimulatorApplication(Starlette):
    """The service as an application to mount. Its webhooks are sent between `start` and `stop`."""

    def __init__(self, storage: Storage, config: SimulatorConfig, *, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._sender = WebhookSender(storage, config, clock=clock)
        self._task = BackgroundTask("simulator", self.work, every_ms=config.every_ms)
        self.simulator = Simulator(storage, config, clock=clock, on_delivery=self._task.wake)
        api = [
            Route("/v1/payments", self._guarded(self._post_payment), methods=["POST"]),
            Route("/v1/payments/{id}", self._guarded(self._get_payment), methods=["GET"]),
            Route("/v1/payouts", self._guarded(self._post_payout), methods=["POST"]),
            Route("/v1/payouts/{id}", self._guarded(self._get_payout), methods=["GET"]),
            Route("/v1/scripts/{reference}", self._guarded(self._put_script), methods=["PUT"]),
        ]
        pages = [
            Route("/checkout/{id}", self._get_page, methods=["GET"]),
            Route("/checkout/{id}", self._post_page, methods=["POST"]),
        ]
        handlers = {Refused: _refused, GuilderError: _broken_rule, HTTPException: _not_here}
        super().__init__(routes=[*api, *pages], exception_handlers=handlers)

    def start(self) -> None:
        """Begin to send webhooks."""
        self._task.start()

    async def stop(self) -> None:
        """Stop sending; what is left in the outbox is sent after the next start."""
        await self._task.stop()
        await self._sender.aclose()

    async def work(self) -> bool:
        """Settle and send what is due once; tell whether there may be more."""
        more = await self.simulator.settle_due_payouts()
        return await self._sender.send_due() or more

    def _guarded(
        self, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        expected = f"Bearer {self._config.api_secret}".encode()

        async def guarded(request: Request) -> Response:
            given = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, expected):
                raise Refused(401, "unauthorized")
            return await handler(request)

        return guarded

    async def _post_payment(self, request: Request) -> Response:
        body = await _decode(request, NewPayment)
        currency(body.currency)
        if body.return_url is not None and origin_of(body.return_url) is None:
            raise Refused(422, "return_url_invalid")
        payment = await self.simulator.create_payment(
            _key(request),
            amount_minor=body.amount,
            currency=body.currency,
            our_reference=body.reference,
            return_url=body.return_url,
        )
        return await self._answer_create(self._payment(payment, None), payment.our_reference)

    async def _get_payment(self, request: Request) -> Response:
        payment = await self.simulator.payment(request.path_params["id"])
        script = await self.simulator.script(payment.our_reference)
        return _json(self._payment(payment, script))

    async def _post_payout(self, request: Request) -> Response:
        body = await _decode(request, NewPayout)
        currency(body.currency)
        payout = await self.simulator.create_payout(
            _key(request),
            amount_minor=body.amount,
            currency=body.currency,
            our_reference=body.reference,
            destination_token=body.destination,
        )
        return await self._answer_create(_payout(payout, None), payout.our_reference)

    async def _get_payout(self, request: Request) -> Response:
        payout = await self.simulator.fetch_payout(request.path_params["id"])
        script = await self.simulator.script(payout.our_reference)
        return _json(_payout(payout, script))

    async def _put_script(self, request: Request) -> Response:
        body = await _decode(request, NewScript)
        now = self._clock()
        fields = msgspec.structs.asdict(body)
        reference = request.path_params["reference"]
        await self.simulator.write_script(
            FaultScript(id=reference, created_at=now, updated_at=now, **fields)
        )
        return Response(status_code=204)

    async def _get_page(self, request: Request) -> Response:
        payment = await self.simulator.payment(request.path_params["id"])
        html, headers = checkout_page(payment, self._config.api_secret)
        return HTMLResponse(html, headers=headers)

    async def _post_page(self, request: Request) -> Response:
        payment_id = request.path_params["id"]
        form = await request.form(max_files=0, max_fields=5)
        state = DECISIONS.get(str(form.get("decision", "")))
        token = str(form.get("token", ""))
        if not is_form_token(token, payment_id, self._config.api_secret):
            raise Refused(403, "form_token_invalid")
        if state is None:
            raise Refused(422, "decision_unknown")
        payment = await self.simulator.end_payment(payment_id, state)
        # A relative address, so that the page works wherever the service is mounted.
        return RedirectResponse(payment.return_url or payment.id, status_code=303)

    async def _answer_create(self, content: dict[str, object], our_reference: str) -> Response:
        """Answer a creating call, or fail to, after it had its effect."""
        script = await self.simulator.script(our_reference)
        if script.hang_ms is not None:
            await asyncio.sleep(script.hang_ms / 1000)
            raise Refused(504, "timed_out")
        return _json(content, status=201)

    def _payment(self, payment: SimulatedPayment, script: FaultScript | None) -> dict[str, object]:
        reported = script.reported_amount_minor if script else None
        return {
            "id": payment.id,
            "amount": reported or payment.amount_minor,
            "currency": payment.currency,
            "reference": payment.our_reference,
            "status": payment.state,
            "mode": "test",
            "url": f"{self._config.public_url}/checkout/{payment.id}",
        }


def simulator_app(
    storage: Storage, config: SimulatorConfig, *, clock: Clock = utc_now
) -> SimulatorApplication:
    """Return the simulated company, to be mounted where `config` says and started."""
    return SimulatorApplication(storage, config, clock=clock)


def _payout(payout: SimulatedPayout, script: FaultScript | None) -> dict[str, object]:
    reported = script.reported_amount_minor if script else None
    return {
        "id": payout.id,
        "amount": reported or payout.amount_minor,
        "currency": payout.currency,
        "reference": payout.our_reference,
        "status": payout.state,
        "mode": "test",
    }


def _key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if not key or len(key) > 255:  # noqa: PLR2004 - as other companies have it
        raise Refused(400, "idempotency_key_required")
    return key


async def _decode(request: Request, model: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.body(), type=model)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(422, "invalid") from None


def _json(content: dict[str, object], *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _refused(_request: Request, error: Exception) -> Response:
    known = error if isinstance(error, Refused) else Refused(500, "internal")
    return _json({"error": {"code": known.code}}, status=known.status)


async def _not_here(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _json({"error": {"code": "not_found" if status == 404 else "refused"}}, status=status)  # noqa: PLR2004


async def _broken_rule(_request: Request, error: Exception) -> Response:
    if isinstance(error, Unavailable):
        return _json({"error": {"code": "unavailable"}}, status=503)
    code = error.code if isinstance(error, GuilderError) else "internal"
    return _json({"error": {"code": code}}, status=422)
