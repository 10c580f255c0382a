"""HTTP of second factors, and of the challenges that ask for them."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from guilder.identity.authentication import authenticate
from guilder.identity.challenges import Given
from guilder.identity.devices import device_of
from guilder.identity.errors import (
    Forbidden,
    InvalidCredentials,
    PasswordChecksBusy,
    TooManyAttempts,
    Unauthenticated,
)
from guilder.identity.factors.errors import (
    ChallengeEnded,
    FactorExists,
    FactorMissing,
    FactorWrong,
)
from guilder.identity.factors.models import Challenge
from guilder.identity.factors.rules import Method
from guilder.identity.factors.schemas import (
    ApprovalAnswer,
    FactorsAnswer,
    ProofBody,
    RecoveryCodesAnswer,
    TotpAnswer,
    TotpConfirmBody,
)
from guilder.identity.permissions import Permission, Principal, needs, public
from guilder.identity.routes import IdempotencyKey, identity_of
from guilder.identity.schemas import SignInAnswer
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER, given_of, step_up_of
from guilder.kernel.errors import GuilderError, InvalidRequest, Malformed, NotFound, Unavailable
from guilder.middlewares.client_address import address_of
from guilder.middlewares.errors import RateLimited, UnsupportedMediaType
from guilder.middlewares.problems import error_responses

router = APIRouter(tags=["Second factors"])
"""Under the prefix only."""

ADD, REMOVE, CODES = "factor_add", "factor_remove", "recovery_codes"
"""Operations of step-ups."""
_MINE = (Unauthenticated, Forbidden, RateLimited, Unavailable)
_BODY = (Malformed, UnsupportedMediaType, InvalidRequest)
_GUARDED = {"parameters": [STEP_UP_PARAMETER]}

ChallengeId = Annotated[str, Path(examples=["challenge_01h455vb4pex5vsknk084sn02q"])]
DeviceId = Annotated[str, Path(examples=["trusted_device_01h455vb4pex5vsknk084sn02q"])]
Reader = Annotated[Principal, needs(Permission.SECURITY_READ)]
Writer = Annotated[Principal, needs(Permission.SECURITY_WRITE)]


@router.post(
    "/auth/challenges/{challenge_id}/verify",
    summary="Give the factor that was asked for",
    responses=error_responses(
        *_BODY,
        RateLimited,
        Unavailable,
        ChallengeEnded,
        FactorWrong,
        InvalidCredentials,
        PasswordChecksBusy,
        TooManyAttempts,
    ),
)
@public
async def verify_challenge(
    challenge_id: ChallengeId,
    body: ProofBody,
    request: Request,
    response: Response,
    _key: IdempotencyKey = None,
) -> SignInAnswer | ApprovalAnswer:
    """Prove a challenge of a 401 `second_factor_required` or a 403 `step_up_required`.

    At sign-in the answer is the session. For a step-up send your access token too; the answer says
    that it is approved: send the request that asked for it again, unchanged, with the challenge's
    id as `Step-Up`, within five minutes.

    Each challenge lives for ten minutes and takes five attempts. An `Idempotency-Key` is accepted
    and changes nothing: an answer full of tokens is never stored.
    """
    identity = identity_of(request)
    given = Given(
        method=Method(body.method),
        code=body.code.get_secret_value() if body.code else "",
        assertion=body.assertion or {},
    )
    answer = await identity.factors.answer(
        challenge_id,
        given,
        by=await signed_in(request),
        remember_device=body.remember_device,
        client=address_of(request),
        device=device_of(request),
    )
    response.headers["Cache-Control"] = "no-store"
    if isinstance(answer, Challenge):
        return ApprovalAnswer.of(answer)
    return SignInAnswer.of(answer)


async def signed_in(request: Request) -> Principal | None:
    """Return who sends the request, if anybody is signed in."""
    try:
        return await authenticate(request)
    except GuilderError:
        return None


@router.get("/factors", summary="List second factors", responses=error_responses(*_MINE))
async def list_factors(request: Request, response: Response, principal: Reader) -> FactorsAnswer:
    """Return what the signed-in user has set up, and the devices that are trusted."""
    response.headers["Cache-Control"] = "no-store"
    return FactorsAnswer.of(await identity_of(request).factors.overview(principal))


@router.post(
    "/factors/totp",
    status_code=201,
    summary="Set up an app that shows codes",
    openapi_extra=_GUARDED,
    responses=error_responses(*_MINE, InvalidRequest, *STEP_UP_ERRORS, FactorExists),
)
async def enrol_totp(
    request: Request, response: Response, principal: Writer, _key: IdempotencyKey = None
) -> TotpAnswer:
    """Return the secret for an authenticator app, once. It counts after `/factors/totp/confirm`.

    Asks for a step-up: of who has no second factor, the password. An `Idempotency-Key` is accepted
    and changes nothing: sent twice, the second secret takes the place of the first.
    """
    await _confirmed(request, principal, ADD, Method.TOTP)
    factors = identity_of(request).factors
    made = await factors.enrol_totp(principal, client=address_of(request))
    response.headers["Cache-Control"] = "no-store"
    return TotpAnswer.of(made)


@router.post(
    "/factors/totp/confirm",
    summary="Confirm the app",
    responses=error_responses(*_MINE, *_BODY, FactorWrong, TooManyAttempts),
)
async def confirm_totp(
    body: TotpConfirmBody,
    request: Request,
    response: Response,
    principal: Writer,
    _key: IdempotencyKey = None,
) -> RecoveryCodesAnswer:
    """Have the app count from now on, with the code it shows. Every other session ends.

    Answers ten recovery codes, if there are none yet: show them once, to be kept on paper. An
    `Idempotency-Key` is accepted and changes nothing: sent twice, the code was used.
    """
    codes = await identity_of(request).factors.confirm_totp(
        principal, body.code.get_secret_value(), client=address_of(request)
    )
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodesAnswer(recovery_codes=codes)


@router.delete(
    "/factors/totp",
    status_code=204,
    summary="Remove the app",
    openapi_extra=_GUARDED,
    responses=error_responses(*_MINE, NotFound, *STEP_UP_ERRORS),
)
async def remove_totp(request: Request, principal: Writer) -> None:
    """Ask for the app's codes no longer. Every other session ends, and the user is told.

    Asks for a step-up. With the last factor the recovery codes end too.
    """
    await _confirmed(request, principal, REMOVE, Method.TOTP)
    await identity_of(request).factors.remove_totp(principal, client=address_of(request))


@router.post(
    "/factors/recovery-codes",
    status_code=201,
    summary="Make new recovery codes",
    openapi_extra=_GUARDED,
    responses=error_responses(*_MINE, InvalidRequest, FactorMissing, *STEP_UP_ERRORS),
)
async def make_recovery_codes(
    request: Request, response: Response, principal: Writer, _key: IdempotencyKey = None
) -> RecoveryCodesAnswer:
    """Return ten new codes, once. Earlier ones end.

    Asks for a step-up. An `Idempotency-Key` is accepted and changes nothing.
    """
    await _confirmed(request, principal, CODES, Method.RECOVERY_CODE)
    codes = await identity_of(request).factors.new_recovery_codes(
        principal, client=address_of(request)
    )
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodesAnswer(recovery_codes=codes)


@router.delete(
    "/factors/devices/{device_id}",
    status_code=204,
    summary="Trust a device no longer",
    responses=error_responses(*_MINE, InvalidRequest, NotFound),
)
async def forget_device(device_id: DeviceId, request: Request, principal: Writer) -> None:
    """Ask for the second factor again on that device."""
    factors = identity_of(request).factors
    await factors.forget_device(principal, device_id, client=address_of(request))


async def _confirmed(
    request: Request, principal: Principal, operation: str, method: Method
) -> None:
    """Ask for a step-up that is for this factor."""
    await step_up_of(request).require(
        principal,
        operation=operation,
        binding={"method": method.value},
        given=given_of(request),
    )
