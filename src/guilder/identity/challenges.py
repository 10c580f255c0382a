"""Challenges: a factor that is asked for, at sign-in or before something that matters.

One that is opened names the methods that will do. Each attempt at it is stored before anything is
compared; five failures end it, and failures at all challenges of an account slow the next ones.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

import structlog
from msgspec import Struct
from msgspec.structs import replace

from guilder.audit.rules import UNKNOWN
from guilder.audit.trail import AuditTrail
from guilder.identity.authentication import Principal
from guilder.identity.devices import Device
from guilder.identity.factors import rules
from guilder.identity.factors.devices import TrustedDevices
from guilder.identity.factors.errors import ChallengeEnded, FactorWrong, SecondFactorRequired
from guilder.identity.factors.models import Challenge
from guilder.identity.factors.rules import Method, Purpose, Standing
from guilder.identity.models import User
from guilder.identity.roles import is_staff
from guilder.identity.throttles import Throttles
from guilder.kernel.clock import Clock, rfc3339
from guilder.kernel.errors import GuilderError, check
from guilder.kernel.ids import SessionId, UserId, decode_id, encode_id
from guilder.storage.base import Storage
from guilder.storage.errors import VersionConflict

FACTOR = "factor"
"""The action under which tries at factors are counted, by account."""
SIGN_IN = "sign_in"
"""The operation of challenges that are asked at sign-in."""
CHALLENGE_TTL = timedelta(minutes=10)
APPROVAL_TTL = timedelta(minutes=5)
_KEPT = timedelta(days=1)
"""After its end: the request that has used an approval may be sent again."""
_PREFIX = "challenge"
_TRIES = 16
_FACTORS = (Method.TOTP, Method.PASSKEY)
"""Second factors. Recovery codes stand in for one of them."""

_log = structlog.get_logger(__name__)


class Given(Struct, frozen=True, kw_only=True):
    """What somebody gives for a challenge.

    Args:
        method: Which way it is proved.
        code: As typed: the app's code, a recovery code, or the password.
        assertion: Of a passkey, as the browser made it.
    """

    method: Method
    code: str = ""
    assertion: Mapping[str, object] = {}

    def __repr__(self) -> str:
        """Return nothing secret."""
        return f"Given({self.method!s})"


class Prover(Protocol):
    """A method of proving oneself: an app, passkeys, recovery codes, the password."""

    async def is_set(self, user_id: UserId) -> bool:
        """Tell whether the user can use it."""

    async def prove(self, user: User, given: Given, *, challenge_id: str) -> None:
        """Use up what is given.

        Raises:
            FactorWrong: It is not right, or was used before.
        """


class Proved(NamedTuple):
    """A challenge that was proved a moment ago, and by whom."""

    challenge: Challenge
    user: User


class Challenges:
    """Asks for factors, and looks at what is given.

    Invariants:
        At most five attempts at a challenge are compared, however many come at once.
        Proved, it is good once: at sign-in for one session, in a step-up for one request.
        A challenge of a step-up is seen by the session that it was opened in, and by no other.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        throttles: Throttles,
        audit: AuditTrail,
        devices: TrustedDevices,
        provers: Mapping[Method, Prover],
    ) -> None:
        """Take what asking needs; does nothing yet.

        Args:
            storage: Migrated with `factors.models.MODELS`.
            clock: Time for ends.
            throttles: Counts tries by account and address.
            audit: The record of security events.
            devices: Where no second factor is asked for at sign-in.
            provers: By method. `add` takes more.
        """
        self._storage = storage
        self._challenges = storage.documents(Challenge)
        self._users = storage.documents(User)
        self._clock = clock
        self._throttles = throttles
        self._audit = audit
        self._devices = devices
        self._provers = dict(provers)

    def add(self, method: Method, prover: Prover) -> None:
        """Offer another method."""
        check(method not in self._provers, f"{method} is proved in one way")
        self._provers[method] = prover

    async def second_factors(self, user_id: UserId) -> tuple[Method, ...]:
        """Return the second factors that the user has set up, without recovery codes."""
        return tuple([each for each in _FACTORS if await self._is_set(each, user_id)])

    async def check_sign_in(self, user: User, *, client: str | None, device: Device) -> None:
        """Let a user in who has shown the first factor, or ask for the second.

        Args:
            user: As the first factor was looked at.
            client: The client's address.
            device: Where a second factor was given before, it is not asked for; of staff it is.

        Raises:
            SecondFactorRequired: With the challenge that asks for it.
        """
        factors = await self.second_factors(user.user_id)
        if not factors:
            return
        # Staff need a session that was opened with one: see `SignedInWithoutSecondFactor`.
        if not is_staff(user.role) and await self._devices.is_trusted(user, device):
            return
        challenge = await self._open(
            Purpose.SIGN_IN, user, factors, operation=SIGN_IN, session_id=None, binding=""
        )
        _log.info("second_factor_asked", user_id=user.id)
        await self._audit.record(
            "second_factor.asked", actor=UNKNOWN, subject=user.id, address=client
        )
        raise SecondFactorRequired(shown(challenge))

    async def open_step_up(
        self, user: User, *, session_id: SessionId, operation: str, binding: str
    ) -> Challenge:
        """Ask for a fresh factor: a second one, or of who has none the password again.

        Args:
            user: Who is signed in.
            session_id: In which.
            operation: A word of ours.
            binding: Keyed hash of all that is to be approved.
        """
        factors = await self.second_factors(user.user_id) or (Method.PASSWORD,)
        return await self._open(
            Purpose.STEP_UP,
            user,
            factors,
            operation=operation,
            session_id=session_id,
            binding=binding,
        )

    async def get(self, challenge_id: str, *, by: Principal | None = None) -> Challenge:
        """Return a challenge that takes one more attempt.

        Args:
            challenge_id: As the client gives it.
            by: Who is signed in, if anybody is.

        Raises:
            ChallengeEnded: It is over, or not the caller's; or there is none.
        """
        challenge = await self.known(challenge_id, by=by)
        if challenge is None or not self._is_open(challenge):
            raise ChallengeEnded
        return challenge

    async def known(self, challenge_id: str, *, by: Principal | None) -> Challenge | None:
        """Return a challenge of the caller's, over or not."""
        try:
            decode_id(_PREFIX, challenge_id)
        except GuilderError:
            return None
        challenge = await self._challenges.get(challenge_id)
        if challenge is None or challenge.purpose is Purpose.SIGN_IN:
            return challenge
        is_mine = by is not None and by.session_id == challenge.session_id
        return challenge if is_mine else None

    async def prove(
        self, challenge_id: str, given: Given, *, by: Principal | None, client: str | None
    ) -> Proved:
        """Look at what is given for a challenge; if it is right, the challenge is proved.

        Args:
            challenge_id: As the client gives it.
            given: For it.
            by: Who is signed in, if anybody is: a step-up is for its own session.
            client: The client's address.

        Raises:
            ChallengeEnded: It is over, or not the caller's; or there is none.
            TooManyAttempts: At this account's factors, or from this client.
            FactorWrong: It is not right, was used before, or the challenge offers no such method.
            PasswordChecksBusy: Too many passwords are being checked.
        """
        challenge = await self.get(challenge_id, by=by)
        prover = self._provers.get(given.method)
        if given.method not in challenge.methods or prover is None:
            raise FactorWrong
        account = challenge.user_id
        await self._throttles.check(FACTOR, account=account, address=client)
        try:
            challenge, user = await self._counted(challenge)
            await prover.prove(user, given, challenge_id=challenge.id)
        except FactorWrong:
            await self._throttles.failed(FACTOR, account=account, address=client)
            await self._record("factor.refused", challenge, given.method, client)
            raise
        except GuilderError:
            await self._throttles.taken_back(FACTOR, account=account, address=client)
            raise
        proved = await self._proved(challenge, given.method, client)
        await self._throttles.succeeded(FACTOR, account=account, address=client)
        return Proved(proved, user)

    async def change(
        self, challenge: Challenge, make: Callable[[Challenge], Challenge | None]
    ) -> Challenge | None:
        """Store `make(challenge)`; None from it leaves the challenge as it is, and is returned.

        Args:
            challenge: As it was read.
            make: Called again with what there is if somebody was faster.
        """
        latest: Challenge | None = challenge
        for _ in range(_TRIES):
            wanted = make(latest) if latest is not None else None
            if wanted is None:
                return None
            try:
                return await self._challenges.replace(replace(wanted, updated_at=self._clock()))
            except VersionConflict:
                latest = await self._challenges.get(challenge.id)
        return None

    async def _counted(self, challenge: Challenge) -> Proved:
        """Store one more attempt, and return it with its user.

        Raises:
            ChallengeEnded: There have been enough, or the user's credentials have changed.
        """

        def counted(latest: Challenge) -> Challenge | None:
            if not self._is_open(latest):
                return None
            return replace(latest, attempts=latest.attempts + 1)

        stored = await self.change(challenge, counted)
        user = await self._users.get(challenge.user_id)
        if stored is None or user is None or not _is_current(stored, user):
            raise ChallengeEnded
        return Proved(stored, user)

    async def _proved(self, challenge: Challenge, method: Method, client: str | None) -> Challenge:
        """Note that a challenge was proved. Of many at once, one is.

        Raises:
            ChallengeEnded: Somebody else has proved it.
        """
        is_sign_in = challenge.purpose is Purpose.SIGN_IN
        standing = Standing.SPENT if is_sign_in else Standing.APPROVED
        expires_at = self._clock() + APPROVAL_TTL

        def proved(latest: Challenge) -> Challenge | None:
            if latest.standing is not Standing.OPEN:
                return None
            return replace(
                latest, standing=standing, expires_at=expires_at, kept_until=expires_at + _KEPT
            )

        stored = await self.change(challenge, proved)
        if stored is None:
            raise ChallengeEnded
        await self._record("factor.proved", stored, method, client)
        _log.info("factor_proved", user_id=stored.user_id, method=method.value)
        return stored

    async def _record(
        self, action: str, challenge: Challenge, method: Method, client: str | None
    ) -> None:
        is_proved = action == "factor.proved"
        await self._audit.record(
            action,
            actor=challenge.user_id if is_proved or challenge.session_id else UNKNOWN,
            subject=challenge.user_id,
            outcome="done" if is_proved else "refused",
            details={
                "challenge_id": challenge.id,
                "operation": challenge.operation,
                "method": method.value,
            },
            address=client,
        )

    async def _open(
        self,
        purpose: Purpose,
        user: User,
        factors: tuple[Method, ...],
        *,
        operation: str,
        session_id: SessionId | None,
        binding: str,
    ) -> Challenge:
        now = self._clock()
        spare = factors != (Method.PASSWORD,) and await self._is_set(
            Method.RECOVERY_CODE, user.user_id
        )
        challenge = Challenge(
            # Whoever knows it has shown the first factor: all its bits are random.
            id=encode_id(_PREFIX, UUID(bytes=secrets.token_bytes(16))),
            purpose=purpose,
            user_id=user.user_id,
            session_id=session_id,
            credentials_version=user.credentials_version,
            operation=operation,
            binding=binding,
            methods=(*factors, Method.RECOVERY_CODE) if spare else factors,
            expires_at=now + CHALLENGE_TTL,
            kept_until=now + CHALLENGE_TTL + _KEPT,
            created_at=now,
            updated_at=now,
        )
        await self._challenges.insert(challenge)
        return challenge

    async def _is_set(self, method: Method, user_id: UserId) -> bool:
        prover = self._provers.get(method)
        return prover is not None and await prover.is_set(user_id)

    def _is_open(self, challenge: Challenge) -> bool:
        return rules.is_open(
            challenge.standing,
            attempts=challenge.attempts,
            expires_at=challenge.expires_at,
            now=self._clock(),
        )


def shown(challenge: Challenge) -> Mapping[str, object]:
    """Return a challenge as its owner sees it."""
    return {
        "id": challenge.id,
        "purpose": challenge.purpose.value,
        "operation": challenge.operation,
        "methods": [each.value for each in challenge.methods],
        "expires_at": rfc3339(challenge.expires_at),
    }


def _is_current(challenge: Challenge, user: User) -> bool:
    """Tell whether the user has the credentials that the challenge was opened with."""
    return challenge.credentials_version == user.credentials_version
