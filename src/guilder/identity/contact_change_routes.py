"""HTTP of changing an address or a number."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from guilder.identity import rules
from guilder.identity.addresses import Contact
from guilder.identity.codes import TTL_MAX_S
from guilder.identity.contact_schemas import AcceptedAnswer, VerifyBody
from guilder.identity.errors import (
    CodeExpired,
    CodeWrong,
    ContactTaken,
    Forbidden,
    SmsNotOffered,
    TooManyAttempts,
    Unauthenticated,
)
from guilder.identity.permissions import Permission, Principal, needs
from guilder.identity.routes import IdempotencyKey, identity_of
from guilder.identity.schemas import UserAnswer
from guilder.identity.step_up import STEP_UP_ERRORS, STEP_UP_PARAMETER, given_of, step_up_of
from guilder.kernel.errors import InvalidRequest, Malformed, Unavailable
from guilder.middlewares.client_address import address_of
from guilder.middlewares.errors import RateLimited, UnsupportedMediaType
from guilder.middlewares.problems import error_responses
from guilder.notifications.models import Channel

router = APIRouter(tags=["Identity"])
"""Under the prefix only."""

Writer = Annotated[Principal, needs(Permission.SECURITY_WRITE)]
_ERRORS = (
    Malformed,
    UnsupportedMediaType,
    InvalidRequest,
    RateLimited,
    Unavailable,
    Unauthenticated,
    Forbidden,
    TooManyAttempts,
)
_BEGIN_ERRORS = error_responses(*_ERRORS, *STEP_UP_ERRORS)
_BEGIN_SMS_ERRORS = error_responses(*_ERRORS, *STEP_UP_ERRORS, SmsNotOffered)
_CONFIRM_ERRORS = error_responses(*_ERRORS, CodeWrong, CodeExpired, ContactTaken)
_GUARDED = {"parameters": [STEP_UP_PARAMETER]}


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class EmailChangeBody(_Request):
    """An address to have from now on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "new@example.com"}]})

    email: str = Field(min_length=3, max_length=rules.EMAIL_MAX, description="The new one.")


class PhoneChangeBody(_Request):
    """A number to have from now on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"phone": "+12025550124"}]})

    phone: str = Field(
        min_length=3, max_length=rules.PHONE_MAX, description="The new one, with country code."
    )


@router.post(
    "/users/me/email",
    status_code=202,
    summary="Change the e-mail address",
    openapi_extra=_GUARDED,
    responses=_BEGIN_ERRORS,
)
async def change_email(
    body: EmailChangeBody,
    request: Request,
    response: Response,
    principal: Writer,
    _key: IdempotencyKey = None,
) -> AcceptedAnswer:
    """Send a code to a new address, which takes the place of the old one once it is confirmed.

    Asks for a step-up. Addresses that somebody has are answered alike. An `Idempotency-Key` is
    accepted and changes nothing: the latest code counts.
    """
    contact = identity_of(request).contact_changes.wanted(email=body.email)
    return await _begun(contact, request, response, principal)


@router.post(
    "/users/me/phone",
    status_code=202,
    summary="Change the phone number",
    openapi_extra=_GUARDED,
    responses=_BEGIN_SMS_ERRORS,
)
async def change_phone(
    body: PhoneChangeBody,
    request: Request,
    response: Response,
    principal: Writer,
    _key: IdempotencyKey = None,
) -> AcceptedAnswer:
    """Send a code to a new number, which takes the place of the old one once it is confirmed.

    As with the e-mail address.
    """
    contact = identity_of(request).contact_changes.wanted(phone=body.phone)
    return await _begun(contact, request, response, principal)


@router.post(
    "/users/me/email/confirm",
    summary="Confirm the new e-mail address",
    responses=_CONFIRM_ERRORS,
)
async def confirm_email(
    body: VerifyBody,
    request: Request,
    response: Response,
    principal: Writer,
    _key: IdempotencyKey = None,
) -> UserAnswer:
    """Use the code that was sent to the new address. The old one is told.

    Each code can be tried 5 times within ten minutes. An `Idempotency-Key` is accepted and changes
    nothing: sent twice, the code was used.
    """
    return await _confirmed(Channel.EMAIL, body, request, response, principal)


@router.post(
    "/users/me/phone/confirm", summary="Confirm the new phone number", responses=_CONFIRM_ERRORS
)
async def confirm_phone(
    body: VerifyBody,
    request: Request,
    response: Response,
    principal: Writer,
    _key: IdempotencyKey = None,
) -> UserAnswer:
    """Use the code that was sent to the new number. The user is told.

    As with the e-mail address.
    """
    return await _confirmed(Channel.SMS, body, request, response, principal)


async def _begun(
    contact: Contact, request: Request, response: Response, principal: Principal
) -> AcceptedAnswer:
    """Ask for a step-up that is for this contact, then send the code."""
    await step_up_of(request).require(
        principal,
        operation="contact_change",
        binding={"channel": contact.channel.value, "contact": contact.key},
        given=given_of(request),
    )
    changes = identity_of(request).contact_changes
    await changes.begin(principal, contact, client=address_of(request))
    response.headers["Cache-Control"] = "no-store"
    return AcceptedAnswer(expires_in=TTL_MAX_S)


async def _confirmed(
    channel: Channel, body: VerifyBody, request: Request, response: Response, principal: Principal
) -> UserAnswer:
    identity = identity_of(request)
    user = await identity.contact_changes.complete(
        principal, channel, body.code.get_secret_value(), client=address_of(request)
    )
    response.headers["Cache-Control"] = "no-store"
    return UserAnswer.of(identity.record_of(user))
