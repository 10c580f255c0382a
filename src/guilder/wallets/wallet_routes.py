"""HTTP of wallets by id: what their owner reads, and does to the whole wallet."""

from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Path, Query, Request, Response

from guilder.identity.errors import Unauthenticated
from guilder.identity.permissions import Permission, Principal, needs
from guilder.kernel.errors import FieldError, InvalidRequest, Malformed, NotFound, Unavailable
from guilder.kernel.ids import WalletId
from guilder.kernel.pages import CursorMismatch
from guilder.ledger.errors import AccountClosed, AccountNotEmpty
from guilder.ledger.totals import read_place
from guilder.middlewares.errors import RateLimited
from guilder.middlewares.problems import error_responses
from guilder.wallets.control import WalletControl
from guilder.wallets.routes import transactions_page, wallets_of
from guilder.wallets.schemas import TransactionsAnswer, TransactionsQuery, WalletAnswer
from guilder.wallets.wallet_schemas import BalancesAnswer, BalancesQuery, WalletsAnswer

router = APIRouter(tags=["Wallets"])
"""Under the prefix only."""

WalletIdText = Annotated[str, Path(examples=["wallet_01h455vb4pex5vsknk084sn02q"])]
_ERRORS = (Unauthenticated, RateLimited, Unavailable)


def control_of(request: Request) -> WalletControl:
    """Return the service that the application was composed with."""
    return cast("WalletControl", request.app.state.wallet_control)


def _own(wallet_id: str, principal: Principal) -> WalletId:
    """Return the wallet's id if it is the caller's. Another's does not exist for him."""
    if wallet_id != principal.wallet_id:
        raise NotFound
    return principal.wallet_id


async def _shown(request: Request, response: Response, wallet_id: WalletId) -> WalletAnswer:
    response.headers["Cache-Control"] = "no-store"
    return WalletAnswer.of(await wallets_of(request).view(wallet_id))


@router.get("/wallets", summary="List wallets", responses=error_responses(*_ERRORS, NotFound))
async def list_wallets(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
) -> WalletsAnswer:
    """Return the signed-in user's wallets: one, with a balance in every currency."""
    wallet = await _shown(request, response, principal.wallet_id)
    return WalletsAnswer(data=[wallet], has_more=False, next_cursor=None)


@router.get(
    "/wallets/{wallet_id}",
    summary="Show a wallet by its id",
    responses=error_responses(*_ERRORS, NotFound),
)
async def show_wallet_by_id(
    wallet_id: WalletIdText,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
) -> WalletAnswer:
    """Return a wallet of the signed-in user."""
    return await _shown(request, response, _own(wallet_id, principal))


@router.get(
    "/wallets/{wallet_id}/balances",
    summary="Show balances, now or as they were",
    responses=error_responses(*_ERRORS, NotFound, InvalidRequest),
)
async def show_balances(
    wallet_id: WalletIdText,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
    query: Annotated[BalancesQuery, Query()],
) -> BalancesAnswer:
    """Return a wallet's balances after the last transaction at or before a time or position.

    `position` in the answer names the place in the journal: asked for again with it, the answer is
    the same for ever.
    """
    mine = _own(wallet_id, principal)
    found = await wallets_of(request).balances(mine, _moment(query.as_of))
    response.headers["Cache-Control"] = "no-store"
    return BalancesAnswer.of(found, wallet_id=mine)


@router.get(
    "/wallets/{wallet_id}/transactions",
    summary="List a wallet's transactions",
    responses=error_responses(*_ERRORS, NotFound, InvalidRequest, Malformed, CursorMismatch),
)
async def list_wallet_transactions(
    wallet_id: WalletIdText,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
    query: Annotated[TransactionsQuery, Query()],
) -> TransactionsAnswer:
    """Return the history of a wallet, newest first, as `GET /transactions` does."""
    response.headers["Cache-Control"] = "no-store"
    return await transactions_page(request, _own(wallet_id, principal), query)


@router.post(
    "/wallets/{wallet_id}/freeze",
    summary="Freeze a wallet",
    responses=error_responses(*_ERRORS, NotFound, AccountClosed),
)
async def freeze_wallet(
    wallet_id: WalletIdText,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_WRITE)],
) -> WalletAnswer:
    """Stop what leaves a wallet, in every currency, until it is unfrozen.

    Transfers, holds and withdrawals out of it are answered with 423. Money still arrives, and what
    holds had reserved before may still be captured.
    """
    mine = _own(wallet_id, principal)
    await control_of(request).freeze(mine, is_frozen=True)
    return await _shown(request, response, mine)


@router.post(
    "/wallets/{wallet_id}/unfreeze",
    summary="Unfreeze a wallet",
    responses=error_responses(*_ERRORS, NotFound, AccountClosed),
)
async def unfreeze_wallet(
    wallet_id: WalletIdText,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_WRITE)],
) -> WalletAnswer:
    """Let money leave a wallet again."""
    mine = _own(wallet_id, principal)
    await control_of(request).freeze(mine, is_frozen=False)
    return await _shown(request, response, mine)


@router.post(
    "/wallets/{wallet_id}/close",
    summary="Close a wallet",
    responses=error_responses(*_ERRORS, NotFound, AccountNotEmpty),
)
async def close_wallet(
    wallet_id: WalletIdText,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_WRITE)],
) -> WalletAnswer:
    """Close a wallet for good. Nothing may stand or be held in any of its currencies."""
    mine = _own(wallet_id, principal)
    await control_of(request).close(mine)
    return await _shown(request, response, mine)


def _moment(text: str | None) -> int | datetime | None:
    """Read a position of the journal or a time."""
    if text is None:
        return None
    try:
        return read_place(text)
    except ValueError as error:
        fields = (FieldError("/query/as_of", "wrong_form", str(error)),)
        raise InvalidRequest(fields=fields) from error
