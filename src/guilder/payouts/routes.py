"""HTTP of payouts."""

from typing import cast

from fastapi import APIRouter, Request, Response

from guilder.gateways.errors import GatewayUnknown
from guilder.identity.authentication import CurrentUser
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
from guilder.payouts.schemas import PayoutAnswer, WithdrawAnswer, WithdrawBody
from guilder.payouts.service import Order, PayoutService
from guilder.wallets import route_errors

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
    openapi_extra={"parameters": [KEY_PARAMETER]},
    responses=error_responses(*route_errors.ORDER, *route_errors.SPENDING, GatewayUnknown),
)
async def withdraw(
    body: WithdrawBody, request: Request, response: Response, principal: CurrentUser
) -> WithdrawAnswer:
    """Take money out of the wallet and send it to a bank account or card.

    The money leaves the wallet at once and waits in transit; if the payout fails, it comes
    back by a transaction of its own. The same `Idempotency-Key` returns the same payout.
    """
    key = idempotency_key(request)
    order = Order(
        user_id=principal.user_id,
        wallet_id=principal.wallet_id,
        money=Money(body.amount, currency(body.currency)),
        gateway=body.gateway,
        destination=body.destination.to_destination(),
        description=body.description,
    )
    fingerprint = request_fingerprint(
        fingerprint_key(request), "POST", "/wallet/withdraw", body.model_dump()
    )
    requested = await payouts_of(request).withdraw(order, key=key, fingerprint=fingerprint)
    replayed = REPLAYED if requested.is_replayed else {}
    response.headers.update({"Cache-Control": "no-store"} | replayed)
    return WithdrawAnswer.of(requested.transfer)


@router.get(
    "/payouts/{payout_id}",
    summary="Show a payout",
    responses=error_responses(*route_errors.READ, NotFound),
)
async def show_payout(
    payout_id: str, request: Request, response: Response, principal: CurrentUser
) -> PayoutAnswer:
    """Return one of the user's payouts as it stands."""
    payout = await payouts_of(request).payout(payout_id, user_id=principal.user_id)
    response.headers["Cache-Control"] = "no-store"
    return PayoutAnswer.of(payout)
