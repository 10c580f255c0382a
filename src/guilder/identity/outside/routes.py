"""HTTP of signing in by other companies, and of linking their accounts."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from guilder.identity.devices import device_of
from guilder.identity.errors import (
    Forbidden,
    InvalidCredentials,
    PasswordChecksBusy,
    Unauthenticated,
)
from guilder.identity.factors.errors import SecondFactorRequired
from guilder.identity.outside.attempts import Reply
from guilder.identity.outside.errors import (
    OutsideAlreadyLinked,
    OutsideAttemptInvalid,
    OutsideEmailNeeded,
    OutsideLastWayIn,
    OutsideProviderUnknown,
    OutsideUnavailable,
    SignInToLink,
)
from guilder.identity.outside.schemas import (
    URL_MAX,
    OutsideAccountAnswer,
    OutsideAccountsAnswer,
    OutsideCompleteBody,
    OutsideLinkAnswer,
    OutsideLinkBody,
    OutsideProviderAnswer,
    OutsideProvidersAnswer,
)
from guilder.identity.permissions import Permission, Principal, needs, public
from guilder.identity.routes import DeviceToken, IdempotencyKey, identity_of
from guilder.identity.schemas import SignInAnswer
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER, given_of, step_up_of
from guilder.kernel.errors import InvalidRequest, Malformed, NotFound, Unavailable
from guilder.middlewares.client_address import address_of
from guilder.middlewares.errors import RateLimited, UnsupportedMediaType
from guilder.middlewares.problems import error_responses

router = APIRouter(tags=["Signing in by other companies"])
"""Under the prefix only."""

LINK, UNLINK = "outside_link", "outside_unlink"
"""Operations of step-ups."""
_BODY_ERRORS = (Malformed, UnsupportedMediaType, InvalidRequest, RateLimited, Unavailable)
_MINE = (Unauthenticated, Forbidden, RateLimited, Unavailable)
_GUARDED: Final = {"parameters": [STEP_UP_PARAMETER]}
_SEE_OTHER: Final = 303
_CODE_MAX: Final = 2_048
_VALUE_MAX: Final = 512
_REDIRECT: Final = {
    "description": "On to `Location`.",
    "headers": {"Location": {"schema": {"type": "string"}, "description": "Where to go on."}},
}

Provider = Annotated[
    str, Path(min_length=1, max_length=32, examples=["google"], description="A company's name.")
]
Reader = Annotated[Principal, needs(Permission.SECURITY_READ)]
Writer = Annotated[Principal, needs(Permission.SECURITY_WRITE)]
_Code = Annotated[str | None, Query(max_length=_CODE_MAX)]
_Value = Annotated[str | None, Query(max_length=_VALUE_MAX)]


@router.get(
    "/auth/outside",
    summary="List the companies to sign in by",
    responses=error_responses(RateLimited, Unavailable),
)
@public
async def list_providers(request: Request) -> OutsideProvidersAnswer:
    """Return the companies whose accounts people can sign in with here, for buttons."""
    providers = identity_of(request).outside.providers
    return OutsideProvidersAnswer(data=[OutsideProviderAnswer.of(each) for each in providers])


@router.get(
    "/auth/outside/{provider}/start",
    status_code=_SEE_OTHER,
    summary="Begin to sign in by another company",
    response_class=RedirectResponse,
    responses={
        _SEE_OTHER: _REDIRECT,
        **error_responses(
            Malformed,
            InvalidRequest,
            RateLimited,
            Unavailable,
            OutsideProviderUnknown,
            OutsideUnavailable,
        ),
    },
)
@public
async def start_outside(
    provider: Provider,
    request: Request,
    return_url: Annotated[
        str,
        Query(
            min_length=1,
            max_length=URL_MAX,
            description="Where the browser goes in the end: one of `outside_return_urls`, exactly.",
            examples=["https://wallet.example.com/signed-in"],
        ),
    ],
    challenge: Annotated[
        str,
        Query(
            min_length=1,
            max_length=128,
            description="SHA-256 of a verifier that only the client has, in base64url: 43 "
            "characters (RFC 7636, S256).",
            examples=["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
        ),
    ],
) -> Response:
    """Send the browser to the company's page.

    In the end it comes to `return_url` with `code`, for `/v1/auth/outside/complete`, or with
    `error`: `outside_denied`, `outside_answer_refused` or `outside_unavailable`. It has ten
    minutes.
    """
    url = await identity_of(request).outside.begin(
        provider, return_url=return_url, challenge=challenge
    )
    return _redirect(url)


@router.get(
    "/auth/outside/{provider}/callback",
    status_code=_SEE_OTHER,
    summary="Come back from another company",
    response_class=RedirectResponse,
    responses={
        _SEE_OTHER: _REDIRECT,
        **error_responses(
            Malformed,
            InvalidRequest,
            RateLimited,
            Unavailable,
            OutsideProviderUnknown,
            OutsideAttemptInvalid,
        ),
    },
)
@public
async def come_back(
    provider: Provider,
    request: Request,
    *,
    state: _Value = None,
    code: _Code = None,
    iss: _Value = None,
    error: _Value = None,
) -> Response:
    """Where the company sends the browser: told to it as the redirect URI, called by nobody else.

    What it brings is good once. The browser goes on to the return address of the attempt.
    """
    reply = Reply(state=state, code=code, issuer=iss, error=error)
    url = await identity_of(request).outside.come_back(provider, reply, client=address_of(request))
    return _redirect(url)


@router.post(
    "/auth/outside/complete",
    summary="Sign in by another company",
    responses=error_responses(
        *_BODY_ERRORS,
        OutsideAttemptInvalid,
        OutsideEmailNeeded,
        SignInToLink,
        InvalidCredentials,
        SecondFactorRequired,
        PasswordChecksBusy,
    ),
)
@public
async def complete_outside(
    body: OutsideCompleteBody,
    request: Request,
    response: Response,
    _key: IdempotencyKey = None,
    _device: DeviceToken = None,
) -> SignInAnswer:
    """Open a session with the code that the browser brought and the verifier of this client.

    Somebody new gets a user and a wallet, if the company vouches for the e-mail address. An account
    that has the address already is never opened or linked because of it: 409 `sign_in_to_link`.
    Where the company vouches for no address: 409 `outside_email_needed`, with what it says as a
    hint for the form.

    The code is good once and for two minutes, whatever comes of it. An `Idempotency-Key` is
    accepted and changes nothing: an answer full of tokens is never stored.
    """
    sign_in = await identity_of(request).outside.complete(
        body.code.get_secret_value(),
        body.verifier.get_secret_value(),
        client=address_of(request),
        device=device_of(request),
    )
    response.headers["Cache-Control"] = "no-store"
    return SignInAnswer.of(sign_in)


@router.get(
    "/users/me/outside",
    summary="List linked accounts",
    responses=error_responses(*_MINE),
)
async def list_linked(
    request: Request, response: Response, principal: Reader
) -> OutsideAccountsAnswer:
    """Return the accounts at other companies that sign the user in."""
    linked = await identity_of(request).outside.linked(principal.user_id)
    response.headers["Cache-Control"] = "no-store"
    return OutsideAccountsAnswer(data=[OutsideAccountAnswer.of(each) for each in linked])


@router.post(
    "/auth/outside/{provider}/link",
    summary="Begin to link an account",
    openapi_extra=_GUARDED,
    responses=error_responses(
        *_BODY_ERRORS,
        Unauthenticated,
        Forbidden,
        OutsideProviderUnknown,
        OutsideUnavailable,
        *STEP_UP_ERRORS,
    ),
)
async def begin_link(
    provider: Provider,
    body: OutsideLinkBody,
    *,
    request: Request,
    response: Response,
    principal: Writer,
    _key: IdempotencyKey = None,
) -> OutsideLinkAnswer:
    """Return where to send the browser of the signed-in user. Asks for a step-up.

    It comes back to `return_url` with `code`, for `/v1/users/me/outside`, or with `error`. An
    `Idempotency-Key` is accepted and changes nothing.
    """
    await step_up_of(request).require(
        principal, operation=LINK, binding={"provider": provider}, given=given_of(request)
    )
    url = await identity_of(request).outside.begin_link(
        principal.user_id, provider, return_url=body.return_url, challenge=body.challenge
    )
    response.headers["Cache-Control"] = "no-store"
    return OutsideLinkAnswer.of(url)


@router.post(
    "/users/me/outside",
    summary="Link an account",
    responses=error_responses(
        *_BODY_ERRORS, Unauthenticated, Forbidden, OutsideAttemptInvalid, OutsideAlreadyLinked
    ),
)
async def complete_link(
    body: OutsideCompleteBody,
    request: Request,
    response: Response,
    principal: Writer,
    _key: IdempotencyKey = None,
) -> OutsideAccountAnswer:
    """Link the account that the browser came back from; from now on it signs the user in.

    The code is good for the user who began, once and for two minutes. The user is told. An
    `Idempotency-Key` is accepted and changes nothing.
    """
    linked = await identity_of(request).outside.complete_link(
        principal.user_id,
        body.code.get_secret_value(),
        body.verifier.get_secret_value(),
        client=address_of(request),
    )
    response.headers["Cache-Control"] = "no-store"
    return OutsideAccountAnswer.of(linked)


@router.delete(
    "/users/me/outside/{provider}",
    status_code=204,
    summary="Unlink an account",
    openapi_extra=_GUARDED,
    responses=error_responses(
        *_MINE, InvalidRequest, NotFound, OutsideProviderUnknown, OutsideLastWayIn, *STEP_UP_ERRORS
    ),
)
async def unlink(
    provider: Provider, request: Request, principal: Writer, _key: IdempotencyKey = None
) -> None:
    """Unlink an account: it signs the user in no more. Asks for a step-up; the user is told.

    The only way in cannot be unlinked. An `Idempotency-Key` is accepted and changes nothing.
    """
    await step_up_of(request).require(
        principal, operation=UNLINK, binding={"provider": provider}, given=given_of(request)
    )
    await identity_of(request).outside.unlink(
        principal.user_id, provider, client=address_of(request)
    )


def _redirect(url: str) -> Response:
    return RedirectResponse(url, status_code=_SEE_OTHER, headers={"Cache-Control": "no-store"})
