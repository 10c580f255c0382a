"""HTTP of proving who one is: one's own tier and documents, decisions, providers' callbacks."""

from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Path, Query, Request, Response

from guilder.identity.permissions import Permission, Principal, needs, public
from guilder.kernel.errors import InvalidRequest, Malformed, NotFound, Unavailable
from guilder.kernel.pages import decode_cursor, encode_cursor, page_of
from guilder.kyc.errors import CallbackInvalid, DocumentDecided, OwnDocument, TooManyDocuments
from guilder.kyc.rules import DocumentState
from guilder.kyc.schemas import (
    DecisionBody,
    DocumentAnswer,
    DocumentBody,
    DocumentsQuery,
    KycAnswer,
    ReviewAnswer,
    ReviewsAnswer,
)
from guilder.kyc.service import KycService
from guilder.middlewares.errors import RateLimited, UnsupportedMediaType
from guilder.middlewares.problems import error_responses
from guilder.wallets import route_errors
from guilder.wallets.limits import LimitSource

router = APIRouter(tags=["Verification of people"])
"""Under the prefix only."""

DocumentId = Annotated[str, Path(examples=["kyc_document_01h455vb4pex5vsknk084sn02q"])]
_BODY = (*route_errors.READ, Malformed, UnsupportedMediaType, InvalidRequest)
_PRIVATE = {"Cache-Control": "no-store"}


def kyc_of(request: Request) -> KycService:
    """Return the service that the application was composed with."""
    return cast(KycService, request.app.state.kyc)


@router.get(
    "/kyc", summary="Show what is proved about you", responses=error_responses(*route_errors.READ)
)
async def show_kyc(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.PROFILE_READ)],
) -> KycAnswer:
    """Return the signed-in user's tier, what may leave the wallet by it, and the documents."""
    kyc, source = kyc_of(request), cast(LimitSource, request.app.state.limits)
    answer = KycAnswer.of(
        await kyc.tier(principal),
        await source.current(principal.wallet_id),
        await kyc.documents(principal),
    )
    response.headers.update(_PRIVATE)
    return answer


@router.post(
    "/kyc/documents",
    status_code=201,
    summary="Hand in a document",
    responses=error_responses(*_BODY, TooManyDocuments),
)
async def submit_document(
    body: DocumentBody,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.KYC_WRITE)],
) -> DocumentAnswer:
    """Tell where a document about you is kept. The document itself stays there.

    The same document handed in twice is there once. Once it is approved, your tier changes at once.
    """
    shown = await kyc_of(request).submit(
        principal, kind=body.kind, reference=body.reference, provider=body.provider
    )
    response.headers.update(_PRIVATE)
    return DocumentAnswer.of(shown)


@router.get(
    "/admin/kyc/documents",
    summary="List documents to decide on",
    responses=error_responses(*route_errors.LIST),
)
async def list_documents(
    request: Request,
    response: Response,
    _principal: Annotated[Principal, needs(Permission.KYC_DECIDE)],
    query: Annotated[DocumentsQuery, Query()],
) -> ReviewsAnswer:
    """Return everybody's documents in one state, the oldest first."""
    filters = {"list": "kyc_documents", "state": query.state.value}
    after = None
    if query.cursor is not None:
        after = decode_cursor(query.cursor, filters, place=tuple[datetime, str])
    page = page_of(
        await kyc_of(request).page(query.state, after=after, limit=query.limit + 1),
        limit=query.limit,
        cursor=lambda last: encode_cursor((last.document.created_at, last.document.id), filters),
    )
    response.headers.update(_PRIVATE)
    return ReviewsAnswer(
        data=[ReviewAnswer.of(each) for each in page.data],
        has_more=page.has_more,
        next_cursor=page.next_cursor,
    )


@router.post(
    "/admin/kyc/documents/{document_id}/decide",
    summary="Decide on a document",
    responses=error_responses(*_BODY, NotFound, OwnDocument, DocumentDecided),
)
async def decide_document(
    document_id: DocumentId,
    body: DecisionBody,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.KYC_DECIDE)],
) -> ReviewAnswer:
    """Note that a document is looked at, approved or refused. The owner's tier follows at once.

    One that was approved may be refused later; then its owner's tier sinks.
    """
    shown = await kyc_of(request).decide(
        document_id, DocumentState(body.state), reason=body.reason, operator=principal
    )
    response.headers.update(_PRIVATE)
    return ReviewAnswer.of(shown)


@router.post(
    "/kyc/providers/{name}/callback",
    status_code=200,
    summary="Take a provider's finding",
    response_class=Response,
    responses=error_responses(CallbackInvalid, NotFound, RateLimited, Unavailable),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
@public
async def take_callback(
    name: Annotated[str, Path(examples=["simulator"])], request: Request
) -> Response:
    """Take what a provider has found. Not behind sign-in: the signature is the proof."""
    await kyc_of(request).take_callback(name, request.headers, await request.body())
    return Response(status_code=200)
