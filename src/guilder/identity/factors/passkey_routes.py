"""HTTP of passkeys: signing in with one, and the signed-in user's own."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response

from guilder.identity.devices import device_of
from guilder.identity.errors import Forbidden, TooManyAttempts, Unauthenticated
from guilder.identity.factors.errors import ChallengeEnded, FactorWrong
from guilder.identity.factors.passkey_errors import (
    PasskeyKnown,
    PasskeyLastWayIn,
    PasskeyNotMade,
    PasskeyRefused,
    TooManyPasskeys,
)
from guilder.identity.factors.passkey_schemas import (
    PasskeyAddBody,
    PasskeyAddedAnswer,
    PasskeyAnswer,
    PasskeyOptionsAnswer,
    PasskeyRenameBody,
    PasskeysAnswer,
    PasskeySignInBody,
)
from guilder.identity.factors.routes import ADD, REMOVE, ChallengeId, Reader, Writer, signed_in
from guilder.identity.factors.rules import Method
from guilder.identity.permissions import Principal, public
from guilder.identity.routes import IdempotencyKey, identity_of
from guilder.identity.schemas import SignInAnswer
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER, given_of, step_up_of
from guilder.kernel.errors import InvalidRequest, Malformed, NotFound, Unavailable
from guilder.middlewares.client_address import address_of
from guilder.middlewares.errors import RateLimited, UnsupportedMediaType
from guilder.middlewares.problems import error_responses

router = APIRouter(tags=["Passkeys"])
"""Under the prefix only."""

_BODY: Final = (Malformed, UnsupportedMediaType, InvalidRequest)
_ALL: Final = (RateLimited, Unavailable)
_MINE: Final = (Unauthenticated, Forbidden, *_ALL)
_GUARDED: Final = {"parameters": [STEP_UP_PARAMETER]}
_PRIVATE: Final = {"Cache-Control": "no-store"}

PasskeyId = Annotated[str, Path(examples=["passkey_01h455vb4pex5vsknk084sn02q"])]


@router.post(
    "/auth/passkeys/options",
    summary="Ask for a challenge to sign in",
    responses=error_responses(*_ALL, InvalidRequest),
)
@public
async def sign_in_options(
    request: Request, response: Response, _key: IdempotencyKey = None
) -> PasskeyOptionsAnswer:
    """Return what a browser needs to sign in whoever has a passkey, for one answer in five minutes.

    It names no user and no passkey: the device offers the ones it has. An `Idempotency-Key` is
    accepted and changes nothing.
    """
    options = await identity_of(request).passkey_proofs.sign_in_options()
    response.headers.update(_PRIVATE)
    return PasskeyOptionsAnswer.of(options)


@router.post(
    "/auth/passkeys/verify",
    summary="Sign in with a passkey",
    responses=error_responses(*_BODY, *_ALL, PasskeyRefused, TooManyAttempts),
)
@public
async def sign_in(
    body: PasskeySignInBody, request: Request, response: Response, _key: IdempotencyKey = None
) -> SignInAnswer:
    """Open a session with a passkey. No second factor is asked for: the device has asked for one.

    Each challenge takes one answer, right or wrong. An `Idempotency-Key` is accepted and changes
    nothing: an answer full of tokens is never stored.
    """
    opened = await identity_of(request).passkey_proofs.sign_in(
        body.credential.plain, client=address_of(request), device=device_of(request)
    )
    response.headers.update(_PRIVATE)
    return SignInAnswer.of(opened)


@router.post(
    "/auth/challenges/{challenge_id}/passkey",
    summary="Ask a passkey for a second factor",
    responses=error_responses(*_ALL, InvalidRequest, ChallengeEnded, FactorWrong),
)
@public
async def factor_options(
    challenge_id: ChallengeId, request: Request, response: Response, _key: IdempotencyKey = None
) -> PasskeyOptionsAnswer:
    """Return what a browser needs to prove a challenge with one of its user's passkeys.

    Send what it makes to `/v1/auth/challenges/{id}/verify` as `assertion`, with the method
    `passkey`. For a step-up send your access token here too. Refused if the challenge does not
    offer `passkey`. An `Idempotency-Key` is accepted and changes nothing.
    """
    identity = identity_of(request)
    challenge = await identity.challenges.get(challenge_id, by=await signed_in(request))
    if Method.PASSKEY not in challenge.methods:
        raise FactorWrong
    options = await identity.passkey_proofs.factor_options(challenge.user_id, challenge.id)
    response.headers.update(_PRIVATE)
    return PasskeyOptionsAnswer.of(options)


@router.get("/factors/passkeys", summary="List passkeys", responses=error_responses(*_MINE))
async def list_passkeys(request: Request, response: Response, principal: Reader) -> PasskeysAnswer:
    """Return all passkeys of the signed-in user: 20 at most, so there are no pages."""
    found = await identity_of(request).passkeys.listed(principal.user_id)
    response.headers.update(_PRIVATE)
    return PasskeysAnswer(data=[PasskeyAnswer.of(each) for each in found])


@router.post(
    "/factors/passkey-options",
    summary="Begin to add a passkey",
    openapi_extra=_GUARDED,
    responses=error_responses(*_MINE, InvalidRequest, *STEP_UP_ERRORS, TooManyPasskeys),
)
async def creation_options(
    request: Request, response: Response, principal: Writer, _key: IdempotencyKey = None
) -> PasskeyOptionsAnswer:
    """Return what a browser needs to make a passkey for the signed-in user within five minutes.

    Asks for a step-up: of who has no second factor, the password. An `Idempotency-Key` is accepted
    and changes nothing.
    """
    await _confirmed(request, principal, ADD, {"method": Method.PASSKEY.value})
    options = await identity_of(request).passkeys.creation_options(principal)
    response.headers.update(_PRIVATE)
    return PasskeyOptionsAnswer.of(options)


@router.post(
    "/factors/passkeys",
    status_code=201,
    summary="Add a passkey",
    responses=error_responses(*_MINE, *_BODY, PasskeyNotMade, PasskeyKnown, TooManyPasskeys),
)
async def add_passkey(
    body: PasskeyAddBody,
    request: Request,
    response: Response,
    principal: Writer,
    _key: IdempotencyKey = None,
) -> PasskeyAddedAnswer:
    """Keep the passkey that the browser has made. It signs in from now on, alone or as second
    factor. Every other session ends, and the user is told.

    Answers ten recovery codes, if there are none yet: show them once, to be kept on paper. An
    `Idempotency-Key` is accepted and changes nothing: sent twice, the challenge was used.
    """
    added = await identity_of(request).passkeys.add(
        principal, body.credential.plain, name=body.name, client=address_of(request)
    )
    response.headers.update(_PRIVATE)
    return PasskeyAddedAnswer.of(added)


@router.patch(
    "/factors/passkeys/{passkey_id}",
    summary="Rename a passkey",
    responses=error_responses(*_MINE, *_BODY, NotFound),
)
async def rename_passkey(
    passkey_id: PasskeyId,
    body: PasskeyRenameBody,
    request: Request,
    response: Response,
    principal: Writer,
) -> PasskeyAnswer:
    """Call one of your passkeys something else."""
    renamed = await identity_of(request).passkeys.rename(principal, passkey_id, name=body.name)
    response.headers.update(_PRIVATE)
    return PasskeyAnswer.of(renamed)


@router.delete(
    "/factors/passkeys/{passkey_id}",
    status_code=204,
    summary="Remove a passkey",
    openapi_extra=_GUARDED,
    responses=error_responses(*_MINE, InvalidRequest, NotFound, PasskeyLastWayIn, *STEP_UP_ERRORS),
)
async def remove_passkey(passkey_id: PasskeyId, request: Request, principal: Writer) -> None:
    """Take one of your passkeys away. Every other session ends, and the user is told.

    Asks for a step-up. Refused if nothing else would sign you in. With the last factor the recovery
    codes end too.
    """
    binding = {"method": Method.PASSKEY.value, "passkey_id": passkey_id}
    await _confirmed(request, principal, REMOVE, binding)
    await identity_of(request).passkeys.remove(principal, passkey_id, client=address_of(request))


async def _confirmed(
    request: Request, principal: Principal, operation: str, binding: dict[str, str]
) -> None:
    """Ask for a step-up that is for just this."""
    await step_up_of(request).require(
        principal, operation=operation, binding=binding, given=given_of(request)
    )
