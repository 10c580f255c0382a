"""Decisions about second factors, without I/O, clock or randomness."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct

STEP_S = 30
"""RFC 6238: a code is shown for so long."""
WINDOW = 1
"""Steps before and after the present one whose codes are taken: clocks differ, and people type."""
ATTEMPTS_MAX = 5
"""At one challenge."""

_encode = msgspec.json.Encoder(order="sorted").encode


class Method(StrEnum):
    """A way to prove oneself."""

    TOTP = "totp"
    """A code of an app."""
    PASSKEY = "passkey"
    RECOVERY_CODE = "recovery_code"
    PASSWORD = "password"  # noqa: S105 - the name of a method
    """For a step-up of those who have no second factor."""


class Purpose(StrEnum):
    """What a challenge is for."""

    SIGN_IN = "sign_in"
    STEP_UP = "step_up"


class Standing(StrEnum):
    """Where a challenge stands."""

    OPEN = "open"
    APPROVED = "approved"
    """Proved, and not used yet."""
    SPENT = "spent"
    """Used, or offered for something else."""


class Approval(Struct, frozen=True, kw_only=True):
    """What is known of an approval when it is offered.

    Args:
        is_same: It was given for just this.
        spent_by: Who has used it; None if nobody or by a request without a key.
    """

    standing: Standing
    is_same: bool
    expires_at: datetime
    spent_by: str | None


class Use(StrEnum):
    """What comes of an approval that is offered."""

    SPEND = "spend"
    """Do it, and take note."""
    REPEAT = "repeat"
    """It was used by this very request: let it find out what came of it."""
    REFUSE_AND_SPEND = "refuse_and_spend"
    REFUSE = "refuse"


class StepUpPolicy(Struct, frozen=True, kw_only=True):
    """When money asks for a fresh factor.

    Args:
        transfer_minor: By currency, the most that may be sent without one, in minor units. A
            currency that is left out never asks.
        payouts: Every payout asks.
    """

    transfer_minor: Mapping[str, int] = {}
    payouts: bool = False


def use_of(approval: Approval, *, key: str | None, now: datetime) -> Use:
    """Decide about an approval.

    Args:
        key: Stands for the idempotency key of the request; None if it has none.
    """
    if approval.standing is Standing.SPENT:
        is_again = approval.is_same and key is not None and approval.spent_by == key
        return Use.REPEAT if is_again else Use.REFUSE
    if approval.standing is not Standing.APPROVED:
        return Use.REFUSE
    if not approval.is_same:
        return Use.REFUSE_AND_SPEND
    return Use.SPEND if now < approval.expires_at else Use.REFUSE


def is_open(standing: Standing, *, attempts: int, expires_at: datetime, now: datetime) -> bool:
    """Tell whether a challenge takes one more attempt."""
    return standing is Standing.OPEN and attempts < ATTEMPTS_MAX and now < expires_at


def canonical(operation: str, binding: Mapping[str, str | int]) -> bytes:
    """Return what is approved, in its one form: equal for equal orders only."""
    return _encode({"operation": operation, "binding": dict(binding)})


def accepted_steps(now_s: int, *, last_step: int) -> range:
    """Return the steps whose codes may be taken now: near enough, and later than any before."""
    step = now_s // STEP_S
    return range(max(step - WINDOW, last_step + 1), step + WINDOW + 1)
