"""Step-up: a factor given afresh, for one thing only: this amount, to this payee.

The first request is refused with a challenge. Proved, it approves just what was asked: the request
comes again with the challenge's id. Anything else under that id is refused, and ends the approval.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final, cast

import structlog
from msgspec.structs import replace
from starlette.requests import Request

from guilder.audit.trail import AuditTrail
from guilder.identity.authentication import Principal
from guilder.identity.challenges import Challenges, shown
from guilder.identity.errors import Unauthenticated
from guilder.identity.factors import rules
from guilder.identity.factors.errors import StepUpRefused, StepUpRequired
from guilder.identity.factors.models import Challenge
from guilder.identity.factors.rules import Approval, Standing, StepUpPolicy, Use
from guilder.identity.models import User
from guilder.kernel.clock import Clock
from guilder.kernel.errors import GuilderError, check
from guilder.storage.base import Storage

HEADER: Final = "Step-Up"
STEP_UP_PARAMETER: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The id of a challenge that was proved for just this request, after a 403 "
    "`step_up_required` has asked for it.",
    "schema": {"type": "string"},
    "example": "challenge_01h455vb4pex5vsknk084sn02q",
}
"""The header in OpenAPI."""
STEP_UP_ERRORS: Final[tuple[type[GuilderError], ...]] = (StepUpRequired, StepUpRefused)
"""What a route that calls `require` may be refused with, besides."""

_log = structlog.get_logger(__name__)


class StepUp:
    """Asks for fresh factors before what matters.

    Invariants:
        An approval is for one user, one session, one operation and its very values. It is used
        once; the request that has used it may come again under its idempotency key.
        A key asks nobody: making it took a step-up, and its budget says what it may spend. What
        protects the account is not open to keys at all.
    """

    def __init__(
        self,
        challenges: Challenges,
        *,
        storage: Storage,
        clock: Clock,
        key: bytes,
        audit: AuditTrail,
        policy: StepUpPolicy | None = None,
    ) -> None:
        """Take what asking needs; does nothing yet.

        Args:
            challenges: Opens them, and looks at what is given.
            storage: Migrated with `models.MODELS`.
            clock: Time for ends.
            key: Keys the hashes of what is approved.
            audit: The record of security events.
            policy: When money asks; never by default.
        """
        self._challenges = challenges
        self._users = storage.documents(User)
        self._clock = clock
        self._key = key
        self._audit = audit
        self.policy = policy or StepUpPolicy()

    def asks(self, amount_minor: int, currency: str) -> bool:
        """Tell whether sending so much asks for a fresh factor. Does no I/O."""
        most = self.policy.transfer_minor.get(currency)
        return most is not None and amount_minor > most

    async def require(
        self,
        principal: Principal,
        *,
        operation: str,
        binding: Mapping[str, str | int],
        given: str | None,
        key: str | None = None,
    ) -> None:
        """Return if this very thing was approved, and use the approval up.

        Args:
            principal: Who asks.
            operation: A word of ours, such as `transfer`.
            binding: All values that the approval is for: amount, currency, payee, fee.
            given: The id of the challenge that was proved; see `given_of`.
            key: The idempotency key, if the request has one.

        Raises:
            StepUpRequired: Nothing is given. It has the challenge that asks for it.
            StepUpRefused: What is given was for something else, used before, or is too old.
        """
        if principal.api_key_id is not None:
            return
        digest = self._hash("binding", rules.canonical(operation, binding))
        if given is None:
            raise StepUpRequired(shown(await self._asked(principal, operation, digest)))
        challenge = await self._challenges.known(given, by=principal)
        if challenge is None or not await self._use(challenge, digest, key):
            _log.info("step_up_refused", user_id=principal.user_id, operation=operation)
            await self._audit.record(
                "step_up.refused",
                actor=principal.user_id,
                subject=principal.user_id,
                outcome="refused",
                details={"operation": operation},
            )
            raise StepUpRefused

    async def require_second_factor(
        self,
        principal: Principal,
        *,
        operation: str,
        binding: Mapping[str, str | int],
        given: str | None,
    ) -> None:
        """Do what `require` does for whoever has a second factor, and nothing for others.

        For requests that have the password with them: it is what the others would be asked for.
        """
        if await self._challenges.second_factors(principal.user_id):
            await self.require(principal, operation=operation, binding=binding, given=given)

    async def _asked(self, principal: Principal, operation: str, digest: str) -> Challenge:
        check(principal.session_id is not None, "who has no session has a key")
        user = await self._users.get(principal.user_id)
        if user is None or principal.session_id is None:
            raise Unauthenticated
        return await self._challenges.open_step_up(
            user, session_id=principal.session_id, operation=operation, binding=digest
        )

    async def _use(self, challenge: Challenge, digest: str, key: str | None) -> bool:
        """Use an approval, and tell whether it covers the request. Of many at once, one does."""
        mark = None if key is None else self._hash("key", key.encode())
        use = Use.REFUSE

        def used(latest: Challenge) -> Challenge | None:
            nonlocal use
            approval = Approval(
                standing=latest.standing,
                is_same=hmac.compare_digest(latest.binding, digest),
                expires_at=latest.expires_at,
                spent_by=latest.spent_by,
            )
            use = rules.use_of(approval, key=mark, now=self._clock())
            if use is Use.SPEND:
                return replace(latest, standing=Standing.SPENT, spent_by=mark)
            if use is Use.REFUSE_AND_SPEND:
                return replace(latest, standing=Standing.SPENT)
            return None

        stored = await self._challenges.change(challenge, used)
        # Lost to others over and over, `use` may say what was not stored.
        return use is Use.REPEAT or (use is Use.SPEND and stored is not None)

    def _hash(self, purpose: str, raw: bytes) -> str:
        return hmac.digest(self._key, purpose.encode() + b":" + raw, hashlib.sha256).hex()


def step_up_of(request: Request) -> StepUp:
    """Return the service that the application was composed with."""
    return cast(StepUp, request.app.state.identity.step_up)


def given_of(request: Request) -> str | None:
    """Return the id of the challenge that a request says was proved for it."""
    return request.headers.get(HEADER)
