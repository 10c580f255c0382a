"""HTTP of API keys. None of it is open to a key."""

from datetime import datetime
from typing import Annotated, Final, cast

from fastapi import APIRouter, Path, Query, Request, Response

from guilder.api_keys.errors import ApiKeyMade, TooManyApiKeys
from guilder.api_keys.schemas import (
    ApiKeyAnswer,
    ApiKeyBody,
    ApiKeyChangeBody,
    ApiKeysAnswer,
    NewApiKeyAnswer,
    PageQuery,
    RotateBody,
    UsageAnswer,
)
from guilder.api_keys.service import ApiKeyService
from guilder.identity.errors import Unauthenticated
from guilder.identity.permissions import Permission, Principal, needs
from guilder.identity.routes import IdempotencyKey
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER, given_of, step_up_of
from guilder.kernel.errors import InvalidRequest, Malformed, NotFound, Unavailable
from guilder.kernel.pages import CursorMismatch, decode_cursor, encode_cursor, page_of
from guilder.middlewares.client_address import address_of
from guilder.middlewares.errors import RateLimited, UnsupportedMediaType
from guilder.middlewares.problems import error_responses

PATH: Final = "/api-keys"
_ONE: Final = PATH + "/{api_key_id}"
_PRIVATE: Final = {"Cache-Control": "no-store"}
_MINE = (Unauthenticated, RateLimited, Unavailable)
_BODY = (*_MINE, Malformed, UnsupportedMediaType, InvalidRequest)

router = APIRouter(tags=["API keys"])
"""Under the prefix only."""

ApiKeyId = Annotated[str, Path(examples=["key_01h455vb4pex5vsknk084sn02q"])]
Reader = Annotated[Principal, needs(Permission.API_KEYS_READ)]
Owner = Annotated[Principal, needs(Permission.API_KEYS_WRITE)]


def api_keys_of(request: Request) -> ApiKeyService:
    """Return the service that the application was composed with."""
    return cast("ApiKeyService", request.app.state.api_keys)


@router.post(
    PATH,
    status_code=201,
    summary="Make an API key",
    openapi_extra={"parameters": [STEP_UP_PARAMETER]},
    responses=error_responses(*_BODY, *STEP_UP_ERRORS, TooManyApiKeys, ApiKeyMade),
)
async def create_api_key(
    body: ApiKeyBody,
    request: Request,
    response: Response,
    owner: Owner,
    key: IdempotencyKey = None,
) -> NewApiKeyAnswer:
    """Make a key for a program, with a part of what you may do, and a quota and budget of its own.

    The answer shows it, this once. Send it as `Authorization: Bearer glk_...`. With an
    `Idempotency-Key`, the request makes one key at most: sent again, it is refused and names it.
    """
    service, wanted = api_keys_of(request), body.wanted(key)
    await service.check_new(owner, wanted)
    await step_up_of(request).require(
        owner,
        operation="api_key.create",
        binding={"key": body.model_dump_json()},
        given=given_of(request),
        key=key,
    )
    shown = await service.create(owner, wanted, client=address_of(request))
    response.headers.update(_PRIVATE)
    return NewApiKeyAnswer.of_shown(shown)


@router.get(
    PATH,
    summary="List API keys",
    responses=error_responses(*_MINE, InvalidRequest, Malformed, CursorMismatch),
)
async def list_api_keys(
    request: Request, response: Response, owner: Reader, query: Annotated[PageQuery, Query()]
) -> ApiKeysAnswer:
    """Return your keys, newest first, expired ones too; never their secrets."""
    filters = {"list": "api_keys", "of": owner.user_id}
    after = None
    if query.cursor is not None:
        after = decode_cursor(query.cursor, filters, place=tuple[datetime, str])
    page = page_of(
        await api_keys_of(request).page(owner, after=after, limit=query.limit + 1),
        limit=query.limit,
        cursor=lambda last: encode_cursor((last.created_at, last.id), filters),
    )
    response.headers.update(_PRIVATE)
    return ApiKeysAnswer(
        data=[ApiKeyAnswer.of(each) for each in page.data],
        has_more=page.has_more,
        next_cursor=page.next_cursor,
    )


@router.get(_ONE, summary="Show an API key", responses=error_responses(*_MINE, NotFound))
async def show_api_key(
    api_key_id: ApiKeyId, request: Request, response: Response, owner: Reader
) -> ApiKeyAnswer:
    """Return one of your keys, without its secret."""
    response.headers.update(_PRIVATE)
    return ApiKeyAnswer.of(await api_keys_of(request).show(owner, api_key_id))


@router.patch(
    _ONE,
    summary="Change an API key",
    openapi_extra={"parameters": [STEP_UP_PARAMETER]},
    responses=error_responses(*_BODY, *STEP_UP_ERRORS, NotFound),
)
async def change_api_key(
    api_key_id: ApiKeyId,
    body: ApiKeyChangeBody,
    request: Request,
    response: Response,
    owner: Owner,
) -> ApiKeyAnswer:
    """Change its name, limits or addresses; everywhere within a second.

    Less is granted at once. More (a larger number, a limit taken away, another currency, a wider
    block of addresses) asks for a fresh factor. What was used of a budget stays used.
    """
    service, change = api_keys_of(request), body.change
    is_more = await service.needs_fresh_factor(owner, api_key_id, change)
    if is_more:
        await step_up_of(request).require(
            owner,
            operation="api_key.raise",
            binding={"api_key_id": api_key_id, "change": body.model_dump_json()},
            given=given_of(request),
        )
    key = await service.change(
        owner, api_key_id, change, may_raise=is_more, client=address_of(request)
    )
    response.headers.update(_PRIVATE)
    return ApiKeyAnswer.of(key)


@router.delete(
    _ONE, status_code=204, summary="Delete an API key", responses=error_responses(*_MINE, NotFound)
)
async def delete_api_key(api_key_id: ApiKeyId, request: Request, owner: Owner) -> Response:
    """End a key for good: everywhere within a second."""
    await api_keys_of(request).revoke(owner, api_key_id, client=address_of(request))
    return Response(status_code=204, headers=_PRIVATE)


@router.post(
    _ONE + "/rotate",
    summary="Give an API key a new secret",
    openapi_extra={"parameters": [STEP_UP_PARAMETER]},
    responses=error_responses(*_BODY, *STEP_UP_ERRORS, NotFound),
)
async def rotate_api_key(
    api_key_id: ApiKeyId,
    body: RotateBody,
    request: Request,
    response: Response,
    owner: Owner,
    *,
    key: IdempotencyKey = None,
) -> NewApiKeyAnswer:
    """Replace the secret, and show the new one, this once. The earlier ones work for `overlap_s`.

    All else stays: scopes, quota, budget, and what was used of them. Sent again under the same
    `Idempotency-Key`, the request makes one more secret: one that was lost cannot be shown again.
    """
    service = api_keys_of(request)
    await service.show(owner, api_key_id)
    await step_up_of(request).require(
        owner,
        operation="api_key.rotate",
        binding={"api_key_id": api_key_id, "overlap_s": body.overlap_s},
        given=given_of(request),
        key=key,
    )
    shown = await service.rotate(
        owner, api_key_id, overlap_s=body.overlap_s, client=address_of(request)
    )
    response.headers.update(_PRIVATE)
    return NewApiKeyAnswer.of_shown(shown)


@router.get(
    _ONE + "/usage",
    summary="Show what an API key has used",
    responses=error_responses(*_MINE, NotFound),
)
async def show_api_key_usage(
    api_key_id: ApiKeyId, request: Request, response: Response, owner: Reader
) -> UsageAnswer:
    """Return its requests by day, and what is used of its quota and its budgets."""
    response.headers.update(_PRIVATE)
    return UsageAnswer.of(await api_keys_of(request).use(owner, api_key_id))
