"""HTTP of identity: the two paths of the original specification, and sessions beside them."""

from typing import Annotated, cast

from fastapi import APIRouter, Header, Request, Response

from guilder.identity.cookies import CLEAR_SITE_DATA
from guilder.identity.devices import TOKEN_HEADER, device_of
from guilder.identity.errors import (
    InvalidCredentials,
    PasswordChecksBusy,
    RefreshTokenInvalid,
    RefreshTokenReused,
    TooManyAttempts,
    Unauthenticated,
)
from guilder.identity.factors.errors import SecondFactorRequired
from guilder.identity.permissions import Permission, Principal, needs, public
from guilder.identity.registration import Application
from guilder.identity.schemas import LoginBody, RefreshBody, RegisterBody, SignInAnswer, UserAnswer
from guilder.identity.service import IdentityService
from guilder.kernel.errors import InvalidRequest, Malformed, Unavailable
from guilder.ledger.errors import IdempotencyKeyReused
from guilder.middlewares.client_address import address_of
from guilder.middlewares.errors import RateLimited, UnsupportedMediaType
from guilder.middlewares.problems import error_responses

specification_router = APIRouter(tags=["Identity"])
"""`/register` and `/login`: under the prefix and at the root."""
router = APIRouter(tags=["Identity"])
"""The rest: under the prefix only."""

_BODY_ERRORS = (Malformed, UnsupportedMediaType, InvalidRequest, RateLimited, Unavailable)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="1 to 255 printable ASCII characters, made by the client.",
    ),
]
DeviceToken = Annotated[
    str | None,
    Header(
        alias=TOKEN_HEADER,
        description="The `device_token` of an earlier sign-in from this device.",
    ),
]
"""Shows the header in OpenAPI; `devices.device_of` reads it."""


def identity_of(request: Request) -> IdentityService:
    """Return the service that the application was composed with."""
    return cast(IdentityService, request.app.state.identity)


@specification_router.post(
    "/register",
    status_code=201,
    summary="Register",
    responses=error_responses(
        *_BODY_ERRORS, IdempotencyKeyReused, PasswordChecksBusy, TooManyAttempts
    ),
)
@public
async def register(
    body: RegisterBody, request: Request, response: Response, key: IdempotencyKey = None
) -> UserAnswer:
    """Make a user and a wallet.

    A taken address or number is answered exactly like a free one, so that nobody can find out who
    has an account. With one of the two free the account is opened; the other one belongs to whoever
    confirms it first. With none free nothing is opened, and the owners are told by message.

    With an `Idempotency-Key`, the same request gets the same answer for at least 24 hours, with
    `Idempotent-Replayed: true`; another request under that key is refused.
    """
    application = Application(
        name=body.name,
        email=body.email,
        phone=body.phone,
        password=body.password.get_secret_value(),
    )
    registration = await identity_of(request).register(
        application, idempotency_key=key, client=address_of(request)
    )
    response.headers["Cache-Control"] = "no-store"
    if registration.is_replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return UserAnswer.of(registration.record)


@specification_router.post(
    "/login",
    summary="Sign in",
    responses=error_responses(
        *_BODY_ERRORS,
        InvalidCredentials,
        PasswordChecksBusy,
        SecondFactorRequired,
        TooManyAttempts,
    ),
)
@public
async def login(
    body: LoginBody,
    request: Request,
    response: Response,
    _key: IdempotencyKey = None,
    _device: DeviceToken = None,
) -> SignInAnswer:
    """Open a session with an e-mail address or phone number and the password.

    After 5 wrong attempts in a row each further one waits, twice as long every time; `Retry-After`
    says how long. Unknown accounts are answered alike. Addresses from which the account has been
    signed in to before are counted apart, so that strangers do not delay its owner.

    An `Idempotency-Key` is accepted and changes nothing: an answer full of tokens is never stored.
    Sent twice, it opens two sessions, of which the unused one does no harm and ends by itself.
    """
    sign_in = await identity_of(request).login(
        email=body.email,
        phone=body.phone,
        password=body.password.get_secret_value(),
        client=address_of(request),
        device=device_of(request),
    )
    response.headers["Cache-Control"] = "no-store"
    return SignInAnswer.of(sign_in)


@router.post(
    "/auth/refresh",
    summary="Refresh a session",
    responses=error_responses(*_BODY_ERRORS, RefreshTokenInvalid, RefreshTokenReused),
)
@public
async def refresh(
    body: RefreshBody, request: Request, response: Response, _key: IdempotencyKey = None
) -> SignInAnswer:
    """Trade a refresh token for new tokens. Each is used once; used again, its session ends.

    An `Idempotency-Key` is accepted and not needed: for 10 seconds a repeated request gets the same
    refresh token again, so that a lost answer loses no session.
    """
    sign_in = await identity_of(request).refresh(
        body.refresh_token.get_secret_value(),
        client=address_of(request),
        device=device_of(request),
    )
    response.headers["Cache-Control"] = "no-store"
    return SignInAnswer.of(sign_in)


@router.post(
    "/auth/logout",
    status_code=204,
    summary="Sign out",
    responses=error_responses(*_BODY_ERRORS),
)
@public
async def logout(
    body: RefreshBody, request: Request, response: Response, _key: IdempotencyKey = None
) -> None:
    """End a session: its refresh tokens and, within a second everywhere, its access tokens.

    Answers alike for unknown tokens. An `Idempotency-Key` is accepted and not needed:
    ending a session twice ends it once.
    """
    await identity_of(request).logout(
        body.refresh_token.get_secret_value(), client=address_of(request)
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["Clear-Site-Data"] = CLEAR_SITE_DATA


@router.get(
    "/users/me",
    summary="Show the signed-in user",
    responses=error_responses(Unauthenticated, RateLimited, Unavailable),
)
async def show_me(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.PROFILE_READ)],
) -> UserAnswer:
    """Return the user whose access token this is."""
    user = await identity_of(request).get_user(principal.user_id)
    if user is None:
        raise Unauthenticated
    response.headers["Cache-Control"] = "no-store"
    return UserAnswer.of(identity_of(request).record_of(user))
