"""HTTP of wallets: what their owners read."""

from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Path, Query, Request, Response

from guilder.identity.errors import Unauthenticated
from guilder.identity.permissions import Permission, Principal, needs
from guilder.kernel.errors import InvalidRequest, Malformed, NotFound, Unavailable
from guilder.kernel.ids import WalletId
from guilder.kernel.pages import CursorMismatch, decode_cursor, encode_cursor, page_of
from guilder.middlewares.errors import RateLimited
from guilder.middlewares.problems import error_responses
from guilder.storage.base import TransferFilter
from guilder.wallets.rules import HISTORY_KINDS, KINDS_BY_STATUS
from guilder.wallets.schemas import (
    TransactionAnswer,
    TransactionsAnswer,
    TransactionsQuery,
    WalletAnswer,
)
from guilder.wallets.service import WalletService

specification_router = APIRouter(tags=["Wallets"])
"""Under the prefix and at the root."""

_ERRORS = (Unauthenticated, RateLimited, Unavailable)


def wallets_of(request: Request) -> WalletService:
    """Return the service that the application was composed with."""
    return cast(WalletService, request.app.state.wallets)


@specification_router.get(
    "/wallet", summary="Show the wallet", responses=error_responses(*_ERRORS, NotFound)
)
async def show_wallet(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
) -> WalletAnswer:
    """Return the signed-in user's wallet with its balance in every currency, read at one moment."""
    response.headers["Cache-Control"] = "no-store"
    return WalletAnswer.of(await wallets_of(request).view(principal.wallet_id))


@specification_router.get(
    "/transactions",
    summary="List transactions",
    responses=error_responses(*_ERRORS, InvalidRequest, Malformed, CursorMismatch),
)
async def list_transactions(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
    query: Annotated[TransactionsQuery, Query()],
) -> TransactionsAnswer:
    """Return the history of the signed-in user's wallet, newest first.

    Give `next_cursor` with the same filters to read on. New transactions never make a page skip or
    repeat a line.
    """
    response.headers["Cache-Control"] = "no-store"
    return await transactions_page(request, principal.wallet_id, query)


async def transactions_page(
    request: Request, wallet_id: WalletId, query: TransactionsQuery
) -> TransactionsAnswer:
    """Return one page of a wallet's history."""
    wallets = wallets_of(request)
    filters = _filters(query)
    lines = await wallets.history(
        wallet_id,
        _wanted(query),
        currency=query.currency,
        before_position=_place(query.cursor, filters),
        limit=query.limit + 1,
    )
    page = page_of(
        lines,
        limit=query.limit,
        cursor=lambda last: encode_cursor((last.transfer.position,), filters),
    )
    parties = await wallets.counterparties(page.data)
    return TransactionsAnswer(
        data=[
            TransactionAnswer.of(
                line, wallet_id=wallet_id, party=parties[line.counterparty_account_id]
            )
            for line in page.data
        ],
        has_more=page.has_more,
        next_cursor=page.next_cursor,
    )


@specification_router.get(
    "/transactions/{transaction_id}",
    summary="Show a transaction",
    responses=error_responses(*_ERRORS, InvalidRequest, NotFound),
)
async def show_transaction(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
    transaction_id: Annotated[str, Path(examples=["transfer_01h455vb4pex5vsknk084sn02q"])],
) -> TransactionAnswer:
    """Return one transaction of the signed-in user's wallet. Another's does not exist for you."""
    response.headers["Cache-Control"] = "no-store"
    wallets = wallets_of(request)
    line = await wallets.transaction(principal.wallet_id, transaction_id)
    parties = await wallets.counterparties([line])
    return TransactionAnswer.of(
        line, wallet_id=principal.wallet_id, party=parties[line.counterparty_account_id]
    )


def _wanted(query: TransactionsQuery) -> TransferFilter:
    return TransferFilter(
        side=query.type,
        kinds=KINDS_BY_STATUS[query.status] if query.status else HISTORY_KINDS,
        amount_at_least=query.amount_at_least,
        amount_below=query.amount_below,
        created_at_least=query.created_at_least,
        created_below=query.created_below,
    )


def _filters(query: TransactionsQuery) -> dict[str, str | int | datetime | None]:
    filters: dict[str, str | int | datetime | None] = query.model_dump(
        exclude={"limit", "cursor"}, mode="json"
    )
    return {"list": "transactions", **filters}


def _place(cursor: str | None, filters: dict[str, str | int | datetime | None]) -> int | None:
    return None if cursor is None else decode_cursor(cursor, filters, place=tuple[int])[0]
