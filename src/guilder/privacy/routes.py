"""HTTP of personal data: take a copy of everything, close the account."""

from typing import Annotated, cast

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from guilder.identity.errors import Forbidden, Unauthenticated
from guilder.identity.permissions import Permission, Principal, needs
from guilder.identity.step_up import (
    STEP_UP_ERRORS,
    STEP_UP_PARAMETER,
    given_of,
    step_up_of,
)
from guilder.kernel.errors import NotFound, Unavailable
from guilder.middlewares.client_address import address_of
from guilder.middlewares.errors import RateLimited
from guilder.middlewares.problems import error_responses
from guilder.privacy.closing import Closer
from guilder.privacy.errors import AccountInUse
from guilder.privacy.export import Exporter
from guilder.privacy.schemas import EXPORT_EXAMPLE, EXPORT_SCHEMA, ClosedAnswer

router = APIRouter(tags=["Personal data"])
"""Under the prefix only."""

CLOSE_OPERATION = "account.close"
_ERRORS = (Unauthenticated, Forbidden, RateLimited, Unavailable)
_FILE = {
    "description": "The copy, as a file.",
    "content": {"application/json": {"schema": EXPORT_SCHEMA, "example": EXPORT_EXAMPLE}},
}


def exporter_of(request: Request) -> Exporter:
    """Return the service that the application was composed with."""
    return cast(Exporter, request.app.state.exporter)


def closer_of(request: Request) -> Closer:
    """Return the service that the application was composed with."""
    return cast(Closer, request.app.state.closer)


@router.get(
    "/users/me/export",
    summary="Take a copy of everything that is kept about you",
    response_model=None,
    response_class=StreamingResponse,
    responses={200: _FILE, **error_responses(*_ERRORS)},
)
async def export_me(
    request: Request,
    principal: Annotated[Principal, needs(Permission.PERSONAL_DATA_READ)],
) -> StreamingResponse:
    """Return all records about the signed-in user as one JSON file.

    It holds no secrets, and of others only what the history of the wallet shows. A file that was
    cut off is no valid JSON.
    """
    exporter = exporter_of(request)
    try:
        person = await exporter.person(principal.user_id)
    except NotFound:
        raise Unauthenticated from None
    return StreamingResponse(
        exporter.pieces(person),
        media_type="application/json",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{person.user_id}.json"',
        },
    )


@router.post(
    "/users/me/close",
    summary="Close your account for good",
    responses=error_responses(*_ERRORS, AccountInUse, *STEP_UP_ERRORS),
    openapi_extra={"parameters": [STEP_UP_PARAMETER]},
)
async def close_me(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.ACCOUNT_CLOSE)],
) -> ClosedAnswer:
    """Close the signed-in user's account and erase who it belonged to.

    Refused while money stands or is held in the wallet, or is on its way: `errors` says what. Then
    everything that signs in ends, plans are cancelled, name, address and number are erased and free
    for others, and the old address is told. The books keep amounts and dates under the ids.
    """
    closer = closer_of(request)
    # What is in the way is told before anybody looks for a telephone.
    await closer.refuse_in_use(principal.user_id)
    await step_up_of(request).require(
        principal,
        operation=CLOSE_OPERATION,
        binding={"user_id": principal.user_id},
        given=given_of(request),
    )
    closed_at = await closer.close(principal.user_id, address=address_of(request))
    response.headers["Cache-Control"] = "no-store"
    return ClosedAnswer.of(principal.user_id, closed_at)
