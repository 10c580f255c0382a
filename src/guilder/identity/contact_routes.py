"""HTTP of verification, sign-in by code, recovery and change of password."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from guilder.identity.codes import TTL_MAX_S
from guilder.identity.contact_schemas import (
    AcceptedAnswer,
    CodeRedeemBody,
    CodeRequestBody,
    PasswordChangeBody,
    RecoveryBody,
    RecoveryCompleteBody,
    VerifyBody,
)
from guilder.identity.devices import device_of
from guilder.identity.errors import (
    CodeExpired,
    CodeWrong,
    ContactTaken,
    InvalidCredentials,
    LinkInvalid,
    PasswordChecksBusy,
    PasswordWrong,
    SmsNotOffered,
    TooManyAttempts,
    Unauthenticated,
)
from guilder.identity.factors.errors import SecondFactorRequired
from guilder.identity.permissions import Permission, Principal, needs, public
from guilder.identity.recovery import RECOVERY_TTL_S
from guilder.identity.routes import DeviceToken, IdempotencyKey, identity_of
from guilder.identity.schemas import SignInAnswer, UserAnswer
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER, given_of, step_up_of
from guilder.kernel.errors import InvalidRequest, Malformed, NotFound, Unavailable
from guilder.middlewares.client_address import address_of
from guilder.middlewares.errors import RateLimited, UnsupportedMediaType
from guilder.middlewares.problems import error_responses
from guilder.notifications.models import Channel

router = APIRouter(tags=["Identity"])
"""Under the prefix only."""

_BODY_ERRORS = (Malformed, UnsupportedMediaType, InvalidRequest, RateLimited, Unavailable)
_MINE = (Unauthenticated, RateLimited, Unavailable)
_VERIFY_ERRORS = error_responses(
    *_BODY_ERRORS,
    Unauthenticated,
    NotFound,
    CodeWrong,
    CodeExpired,
    ContactTaken,
    TooManyAttempts,
)


@router.post(
    "/users/me/email/verify", summary="Confirm the e-mail address", responses=_VERIFY_ERRORS
)
async def verify_email(
    body: VerifyBody,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.SECURITY_WRITE)],
    _key: IdempotencyKey = None,
) -> UserAnswer:
    """Confirm the signed-in user's e-mail address with the code that was sent to it.

    An address belongs to the first account that confirms it. Each code can be tried 5 times within
    ten minutes. An address that is confirmed stays so: sent again, the request gets the same
    answer, so an `Idempotency-Key` is accepted and not needed.
    """
    user = await identity_of(request).contacts.verify(
        principal, Channel.EMAIL, body.code.get_secret_value(), client=address_of(request)
    )
    response.headers["Cache-Control"] = "no-store"
    return UserAnswer.of(identity_of(request).record_of(user))


@router.post("/users/me/phone/verify", summary="Confirm the phone number", responses=_VERIFY_ERRORS)
async def verify_phone(
    body: VerifyBody,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.SECURITY_WRITE)],
    _key: IdempotencyKey = None,
) -> UserAnswer:
    """Confirm the signed-in user's phone number with the code that was sent to it.

    As with the e-mail address. Ask for the code first: registration sends none by SMS.
    """
    user = await identity_of(request).contacts.verify(
        principal, Channel.SMS, body.code.get_secret_value(), client=address_of(request)
    )
    response.headers["Cache-Control"] = "no-store"
    return UserAnswer.of(identity_of(request).record_of(user))


@router.post(
    "/users/me/email/resend",
    status_code=202,
    summary="Send a code to the e-mail address",
    responses=error_responses(*_MINE, InvalidRequest, NotFound, TooManyAttempts),
)
async def resend_email(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.SECURITY_WRITE)],
    _key: IdempotencyKey = None,
) -> AcceptedAnswer:
    """Send a new code to the signed-in user's e-mail address, unless it is confirmed already.

    Earlier codes are no good any more. An `Idempotency-Key` is accepted and changes nothing.
    """
    await identity_of(request).contacts.resend(principal, Channel.EMAIL, client=address_of(request))
    return _accepted(response, TTL_MAX_S)


@router.post(
    "/users/me/phone/resend",
    status_code=202,
    summary="Send a code to the phone number",
    responses=error_responses(*_MINE, InvalidRequest, NotFound, SmsNotOffered, TooManyAttempts),
)
async def resend_phone(
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.SECURITY_WRITE)],
    _key: IdempotencyKey = None,
) -> AcceptedAnswer:
    """Send a new code to the signed-in user's phone number, unless it is confirmed already.

    Earlier codes are no good any more. An `Idempotency-Key` is accepted and changes nothing.
    """
    await identity_of(request).contacts.resend(principal, Channel.SMS, client=address_of(request))
    return _accepted(response, TTL_MAX_S)


@router.post(
    "/auth/codes",
    status_code=202,
    summary="Ask for a sign-in code",
    responses=error_responses(*_BODY_ERRORS, SmsNotOffered, TooManyAttempts),
)
@public
async def request_code(
    body: CodeRequestBody, request: Request, response: Response, _key: IdempotencyKey = None
) -> AcceptedAnswer:
    """Send a sign-in code to an e-mail address or a confirmed phone number.

    Known and unknown addresses and numbers are answered alike. Earlier codes are no good any more.
    Who asks often waits longer and longer. An `Idempotency-Key` is accepted and changes nothing.
    """
    identity = identity_of(request)
    contact = identity.contact(email=body.email, phone=body.phone)
    await identity.code_sign_in.request(contact, client=address_of(request))
    return _accepted(response, TTL_MAX_S)


@router.post(
    "/auth/codes/redeem",
    summary="Sign in with a code",
    responses=error_responses(
        *_BODY_ERRORS,
        CodeWrong,
        CodeExpired,
        InvalidCredentials,
        PasswordChecksBusy,
        SecondFactorRequired,
        SmsNotOffered,
        TooManyAttempts,
    ),
)
@public
async def redeem_code(
    body: CodeRedeemBody,
    request: Request,
    response: Response,
    _key: IdempotencyKey = None,
    _device: DeviceToken = None,
) -> SignInAnswer:
    """Open a session with the latest code that was sent to an address or number.

    The code of the registration mail is good too, and confirms the address. The first time, give
    the `password` with it: without it the password set at registration ends, and all sessions,
    because whoever registered may not be who reads the mail.

    Each code can be tried 5 times within ten minutes, and used once. An `Idempotency-Key` is
    accepted and changes nothing: an answer full of tokens is never stored.
    """
    identity = identity_of(request)
    contact = identity.contact(email=body.email, phone=body.phone)
    sign_in = await identity.code_sign_in.redeem(
        contact,
        body.code.get_secret_value(),
        password=body.password.get_secret_value() if body.password else None,
        client=address_of(request),
        device=device_of(request),
    )
    response.headers["Cache-Control"] = "no-store"
    return SignInAnswer.of(sign_in)


@router.post(
    "/auth/recovery",
    status_code=202,
    summary="Ask for a new password",
    responses=error_responses(*_BODY_ERRORS, TooManyAttempts),
)
@public
async def request_recovery(
    body: RecoveryBody, request: Request, response: Response, _key: IdempotencyKey = None
) -> AcceptedAnswer:
    """Mail a link that sets a new password.

    Known and unknown addresses are answered alike. An `Idempotency-Key` is accepted and changes
    nothing.
    """
    identity = identity_of(request)
    contact = identity.contact(email=body.email, phone=None)
    await identity.recovery.request(contact, client=address_of(request))
    return _accepted(response, RECOVERY_TTL_S)


@router.post(
    "/auth/recovery/complete",
    status_code=204,
    summary="Set a new password",
    responses=error_responses(*_BODY_ERRORS, LinkInvalid, PasswordChecksBusy),
)
@public
async def complete_recovery(
    body: RecoveryCompleteBody, request: Request, response: Response, _key: IdempotencyKey = None
) -> None:
    """Set a new password with the token of the mail. It works once, for 30 minutes.

    All sessions end, and the user is told. Sign in afterwards. An `Idempotency-Key` is accepted and
    changes nothing: sent twice, the second request finds the token used.
    """
    await identity_of(request).recovery.complete(
        body.token.get_secret_value(),
        body.password.get_secret_value(),
        client=address_of(request),
    )
    response.headers["Cache-Control"] = "no-store"


@router.post(
    "/users/me/password",
    status_code=204,
    summary="Change the password",
    openapi_extra={"parameters": [STEP_UP_PARAMETER]},
    responses=error_responses(
        *_BODY_ERRORS,
        Unauthenticated,
        PasswordChecksBusy,
        PasswordWrong,
        TooManyAttempts,
        *STEP_UP_ERRORS,
    ),
)
async def change_password(
    body: PasswordChangeBody,
    request: Request,
    response: Response,
    principal: Annotated[Principal, needs(Permission.SECURITY_WRITE)],
    _key: IdempotencyKey = None,
) -> None:
    """Replace the signed-in user's password. Every other session ends, and the user is told.

    Who has a second factor is asked for it, by a 403 `step_up_required`. An `Idempotency-Key` is
    accepted and changes nothing: sent twice, the second request has the wrong current password.
    """
    await step_up_of(request).require_second_factor(
        principal, operation="password_change", binding={}, given=given_of(request)
    )
    await identity_of(request).recovery.change(
        principal,
        current=body.current_password.get_secret_value(),
        new=body.new_password.get_secret_value(),
        client=address_of(request),
    )
    response.headers["Cache-Control"] = "no-store"


def _accepted(response: Response, expires_in: int) -> AcceptedAnswer:
    response.headers["Cache-Control"] = "no-store"
    return AcceptedAnswer(expires_in=expires_in)
