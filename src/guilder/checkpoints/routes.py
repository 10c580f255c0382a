"""HTTP of checkpoints and proofs."""

from typing import Annotated, cast

from fastapi import APIRouter, Path, Query, Request, Response

from guilder.checkpoints.errors import ProofNotReady
from guilder.checkpoints.schemas import (
    CheckpointAnswer,
    CheckpointsAnswer,
    CheckpointsQuery,
    KeyAnswer,
    KeysAnswer,
    ProofAnswer,
)
from guilder.checkpoints.service import CheckpointService
from guilder.identity.errors import Unauthenticated
from guilder.identity.permissions import Permission, Principal, needs, public
from guilder.kernel.errors import InvalidRequest, Malformed, NotFound, Unavailable
from guilder.kernel.pages import CursorMismatch, decode_cursor, encode_cursor, page_of
from guilder.ledger.errors import BooksDiffer
from guilder.middlewares.errors import RateLimited
from guilder.middlewares.problems import error_responses
from guilder.wallets.routes import wallets_of
from guilder.wallets.rules import TransactionType

router = APIRouter(tags=["Ledger"])
"""Under the prefix only."""

_LIST = {"list": "checkpoints"}


def checkpoints_of(request: Request) -> CheckpointService:
    """Return the service that the application was composed with."""
    return cast(CheckpointService, request.app.state.checkpoints)


@router.get(
    "/ledger/checkpoints",
    summary="List checkpoints",
    responses=error_responses(InvalidRequest, Malformed, CursorMismatch, RateLimited, Unavailable),
)
@public
async def list_checkpoints(
    request: Request, query: Annotated[CheckpointsQuery, Query()]
) -> CheckpointsAnswer:
    """Return signed checkpoints, newest first. They are for everybody: keep some elsewhere.

    A book that was written again does not fit a checkpoint that somebody has kept.
    """
    after = None
    if query.cursor is not None:
        (after,) = decode_cursor(query.cursor, _LIST, place=tuple[int])
    rows = await checkpoints_of(request).page(after=after, limit=query.limit + 1)
    page = page_of(
        [each.statement for each in rows],
        limit=query.limit,
        cursor=lambda last: encode_cursor((last.after,), _LIST),
    )
    return CheckpointsAnswer(
        data=[CheckpointAnswer.of(each) for each in page.data],
        has_more=page.has_more,
        next_cursor=page.next_cursor,
    )


@router.get(
    "/ledger/keys",
    summary="List checkpoint keys",
    responses=error_responses(RateLimited, Unavailable),
)
@public
async def list_keys(request: Request) -> KeysAnswer:
    """Return the public keys that checkpoints are signed with. Keep a copy before you need it."""
    return KeysAnswer(data=[KeyAnswer.of(checkpoints_of(request).key)])


@router.get(
    "/transactions/{transaction_id}/proof",
    summary="Prove a transaction",
    responses=error_responses(
        Unauthenticated,
        InvalidRequest,
        NotFound,
        ProofNotReady,
        BooksDiffer,
        RateLimited,
        Unavailable,
    ),
)
async def prove_transaction(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.WALLET_READ)],
    transaction_id: Annotated[str, Path(examples=["transfer_01h455vb4pex5vsknk084sn02q"])],
) -> ProofAnswer:
    """Return what proves, offline, that a signed checkpoint covers one of the user's transactions.

    Of the other side it shows no balance.
    """
    response.headers["Cache-Control"] = "no-store"
    line = await wallets_of(request).transaction(principal.wallet_id, transaction_id)
    proof = await checkpoints_of(request).proof(
        line.transfer, is_debit=line.type is TransactionType.DEBIT
    )
    return ProofAnswer.of(proof)
