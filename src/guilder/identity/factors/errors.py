"""What second factors refuse, and the two refusals that ask for one."""

from collections.abc import Mapping
from typing import ClassVar

from guilder.kernel.errors import GuilderError, Kind

_EXAMPLE = {
    "id": "challenge_01h455vb4pex5vsknk084sn02q",
    "methods": ["totp", "recovery_code"],
    "expires_at": "2026-01-31T12:10:00.000Z",
}


class SecondFactorRequired(GuilderError):
    """Who has a second factor gives it too, unless the device is a trusted one. `challenge` says
    which will do.

    Args:
        challenge: Its id, purpose, operation, methods and end.
    """

    code = "second_factor_required"
    kind = Kind.UNAUTHENTICATED
    title = "A second factor is required"
    extension_example: ClassVar[Mapping[str, object]] = {
        "challenge": {**_EXAMPLE, "purpose": "sign_in", "operation": "sign_in"}
    }

    def __init__(self, challenge: Mapping[str, object]) -> None:
        super().__init__(
            "Send one of the challenge's methods to `/v1/auth/challenges/{id}/verify`.",
            extension={"challenge": challenge},
        )


class StepUpRequired(GuilderError):
    """Before something that matters a factor is given afresh, for this very thing. Prove the
    `challenge`, then send the same request with its id as `Step-Up`.

    Args:
        challenge: Its id, purpose, operation, methods and end.
    """

    code = "step_up_required"
    kind = Kind.FORBIDDEN
    title = "Confirm this first"
    extension_example: ClassVar[Mapping[str, object]] = {
        "challenge": {**_EXAMPLE, "purpose": "step_up", "operation": "transfer"}
    }

    def __init__(self, challenge: Mapping[str, object]) -> None:
        super().__init__(
            "Send one of the challenge's methods to `/v1/auth/challenges/{id}/verify`, then this "
            "request again with the header `Step-Up: {id}`.",
            extension={"challenge": challenge},
        )


class StepUpRefused(GuilderError):
    """A confirmation is good for what it was given for, by whom and in which session, once, and for
    five minutes. One that is sent with anything else is spent by that.
    """

    code = "step_up_refused"
    kind = Kind.FORBIDDEN
    title = "The confirmation is not for this"

    def __init__(self) -> None:
        super().__init__("Send the request without `Step-Up` to be asked anew.")


class ChallengeEnded(GuilderError):
    """A challenge is one of the caller's, not older than ten minutes, not proved before, and has
    fewer than five failures.
    """

    code = "challenge_ended"
    kind = Kind.EXPIRED
    title = "The challenge is over"

    def __init__(self) -> None:
        super().__init__("Begin anew: sign in, or send the request that asked for it.")


class FactorWrong(GuilderError):
    """What is given for a challenge is right, of a method that the challenge offers, and was not
    used before. Each challenge takes five attempts.
    """

    code = "factor_wrong"
    kind = Kind.INVALID
    title = "That is not right"

    def __init__(self) -> None:
        super().__init__("Try the next code, or another method of the challenge.")


class FactorExists(GuilderError):
    """There is one app per account: remove it before another is set up."""

    code = "factor_exists"
    kind = Kind.CONFLICT
    title = "There is one already"


class FactorMissing(GuilderError):
    """Recovery codes stand in for a second factor, so there is one."""

    code = "factor_missing"
    kind = Kind.CONFLICT
    title = "There is no second factor"
