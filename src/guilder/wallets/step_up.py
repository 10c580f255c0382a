"""Asks for a fresh factor before much money leaves a wallet, or any leaves for the outside."""

from collections.abc import Awaitable, Callable, Mapping
from typing import cast
from uuid import UUID

from msgspec import Struct
from starlette.requests import Request

from guilder.identity.authentication import Principal
from guilder.identity.service import IdentityService
from guilder.identity.step_up import given_of
from guilder.ledger.journal import Journal
from guilder.wallets.recipients import Recipient, find_recipient


class Spending(Struct, frozen=True, kw_only=True):
    """What is to be approved: each value counts.

    Args:
        operation: A word of ours, such as `transfer`.
        payee: A recipient, whose wallet counts however it is named; or words for who else gets it.
        more: What else has to be the same.
        key: The idempotency key of the request.
        is_always_asked: Whatever the amount.
    """

    operation: str
    amount_minor: int
    currency: str
    payee: Recipient | str
    key: str
    more: Mapping[str, str | int] = {}
    is_always_asked: bool = False


async def confirm_spending(
    request: Request,
    principal: Principal,
    spending: Spending,
    *,
    is_done: Callable[[], Awaitable[bool]],
) -> None:
    """Return if nothing has to be approved, or this very thing was.

    Args:
        request: With the approval as `Step-Up`, if there is one.
        principal: Whose money it is.
        spending: What is to be done.
        is_done: Whether it was done before under this key: then a retry moves nothing, and is
            asked for nothing.

    Raises:
        StepUpRequired, StepUpRefused: See `StepUp.require`.
        RecipientNotFound: Nobody has that address.
    """
    identity = cast(IdentityService, request.app.state.identity)
    step_up = identity.step_up
    asks = spending.is_always_asked or step_up.asks(spending.amount_minor, spending.currency)
    if not asks or await is_done():
        return
    payee = spending.payee
    if isinstance(payee, Recipient):
        # The wallet and not the address: that may be somebody else's when the request comes again.
        payee = await find_recipient(identity, payee)
    await step_up.require(
        principal,
        operation=spending.operation,
        binding={
            "amount_minor": spending.amount_minor,
            "currency": spending.currency,
            "payee": payee,
            # There are none. The day there are, they are part of what is approved.
            "fee_minor": 0,
            **spending.more,
        },
        given=given_of(request),
        key=spending.key,
    )


def is_posted(request: Request, transfer_id: UUID) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether the journal has a transfer: then its key moves nothing more."""

    async def look() -> bool:
        journal = cast(Journal, request.app.state.journal)
        return bool(await journal.book.transfers([transfer_id]))

    return look
