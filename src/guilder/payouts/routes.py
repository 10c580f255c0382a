"""HTTP of payouts."""

from typing import Annotated, cast

from fastapi import APIRouter, Request, Response

from guilder.gateways.errors import GatewayUnknown
from guilder.identity.permissions import Permission, Principal, needs
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER, step_up_of
from guilder.kernel.currency import currency
from guilder.kernel.errors import NotFound
from guilder.kernel.money import Money
from guilder.middlewares.idempotency import (
    KEY_PARAMETER,
    REPLAYED,
    fingerprint_key,
    idempotency_key,
    request_fingerprint,
)
from guilder.middlewares.problems import error_responses
from guilder.payouts.posting import payout_id_of
from guilder.payouts.schemas import PayoutAnswer, WithdrawAnswer, WithdrawBody
from guilder.payouts.service import Order, PayoutService
from guilder.wallets import route_errors
from guilder.wallets.step_up import Spending, confirm_spending, is_posted

specification_router = APIRouter(tags=["Payouts"])
"""`/wallet/withdraw`: under the prefix and at the root."""
router = APIRouter(tags=["Payouts"])
"""The rest: under the prefix only."""


def payouts_of(request: Request) -> PayoutService:
    """Return the service that the application was composed with."""
    return cast("PayoutService", request.app.state.payouts)


@specification_router.post(
    "/wallet/withdraw",
    status_code=201,
    summary="Withdraw",
    openapi_extra={"parameters": [KEY_PARAMETER, STEP_UP_PARAMETER]},
    responses=error_responses(
        *route_errors.ORDER, *route_errors.SPENDING, GatewayUnknown, *STEP_UP_ERRORS
    ),
)
async def withdraw(
    body: WithdrawBody,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.PAYOUTS_WRITE)],
) -> WithdrawAnswer:
    """Take money out of the wallet and send it to a bank account or card.

    The money leaves the wallet at once and waits in transit; if the payout fails, it comes
    back by a transaction of its own. The same `Idempotency-Key` returns the same payout.
    Where the deployment wants it so, a 403 `step_up_required` asks for a fresh factor.
    """
    key = idempotency_key(request)
    order = Order(
        user_id=principal.user_id,
        wallet_id=principal.wallet_id,
        money=Money(body.amount, currency(body.currency)),
        gateway=body.gateway,
        destination=body.destination.to_destination(),
        description=body.description,
        budget=principal.limits,
    )
    fingerprint = request_fingerprint(
        fingerprint_key(request), "POST", "/wallet/withdraw", body.model_dump()
    )
    await _confirm(request, principal, order, key)
    requested = await payouts_of(request).withdraw(order, key=key, fingerprint=fingerprint)
    replayed = REPLAYED if requested.is_replayed else {}
    response.headers.update({"Cache-Control": "no-store"} | replayed)
    return WithdrawAnswer.of(requested.transfer)


async def _confirm(request: Request, principal: Principal, order: Order, key: str) -> None:
    """Ask for a fresh factor: money that has left cannot be fetched back."""
    destination = order.destination
    spending = Spending(
        operation="payout",
        amount_minor=order.money.amount_minor,
        currency=order.money.currency.code,
        payee=f"{destination.type}:{destination.token}",
        key=key,
        more={"gateway": order.gateway or ""},
        is_always_asked=step_up_of(request).policy.payouts,
    )
    is_done = is_posted(request, payout_id_of(order.user_id, key))
    await confirm_spending(request, principal, spending, is_done=is_done)


@router.get(
    "/payouts/{payout_id}",
    summary="Show a payout",
    responses=error_responses(*route_errors.READ, NotFound),
)
async def show_payout(
    payout_id: str,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
) -> PayoutAnswer:
    """Return one of the user's payouts as it stands."""
    payout = await payouts_of(request).payout(payout_id, user_id=principal.user_id)
    response.headers["Cache-Control"] = "no-store"
    return PayoutAnswer.of(payout)
