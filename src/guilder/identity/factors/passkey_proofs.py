"""What a passkey proves: who signs in, or that a signed-in user is there in person."""

from datetime import timedelta

import structlog
from msgspec.structs import replace

from guilder.audit.rules import UNKNOWN
from guilder.audit.trail import AuditTrail
from guilder.identity.challenges import Given
from guilder.identity.devices import NO_DEVICE, Device
from guilder.identity.errors import InvalidCredentials
from guilder.identity.factors.errors import FactorWrong
from guilder.identity.factors.passkey_ceremonies import (
    Ceremonies,
    CeremonyFailed,
    Json,
    Shown,
    challenge_of,
    user_handle_of,
)
from guilder.identity.factors.passkey_challenges import PasskeyChallenges, Purpose
from guilder.identity.factors.passkey_errors import PasskeyRefused
from guilder.identity.factors.passkey_models import Passkey
from guilder.identity.factors.passkey_rules import may_be_copied
from guilder.identity.factors.passkeys import FACTOR, Options, id_of, passkeys_of
from guilder.identity.models import User
from guilder.identity.notices import Notices
from guilder.identity.sessions import Sessions, SignIn
from guilder.identity.throttles import Throttles
from guilder.kernel.clock import Clock
from guilder.kernel.errors import Unavailable
from guilder.kernel.ids import UserId
from guilder.storage.base import Storage
from guilder.storage.errors import VersionConflict

PASSKEY = "passkey"
"""The action under which refused passkeys are counted, by address."""
_ATTEMPTS = 16
_TOLD_AGAIN = timedelta(days=1)
"""After so long without a suspicion the next one is news: a copy that is tried on and on is not."""

_log = structlog.get_logger(__name__)


class PasskeyProofs:
    """Asks for passkeys, and looks at what comes back.

    A passkey is two factors at once: the device, and what it asked its user for. So whoever signs
    in with one is asked for nothing more.

    Invariants:
        Whoever asks is told nothing about anybody: options name no user and no passkey, and there
        is one refusal.
        An owner's passkey signs in whatever strangers do: only refused ones are counted.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        ceremonies: Ceremonies,
        challenges: PasskeyChallenges,
        sessions: Sessions,
        throttles: Throttles,
        notices: Notices,
        audit: AuditTrail,
    ) -> None:
        """Take what proving needs; does nothing yet.

        Args:
            storage: Migrated with `passkey_models.MODELS`.
            clock: Time for records.
            ceremonies: Speaks to browsers.
            challenges: What they answer.
            sessions: Opens one for whoever signs in.
            throttles: Counts what is refused.
            notices: Tells users of what may be a copy.
            audit: The record of security events.
        """
        self._storage = storage
        self._passkeys = storage.documents(Passkey)
        self._users = storage.documents(User)
        self._clock = clock
        self._ceremonies = ceremonies
        self._challenges = challenges
        self._sessions = sessions
        self._throttles = throttles
        self._notices = notices
        self._audit = audit

    async def sign_in_options(self) -> Options:
        """Return what a browser needs to sign in whoever has a passkey."""
        challenge = await self._challenges.give(Purpose.SIGN_IN)
        return Options(public_key=self._ceremonies.request_options(challenge))

    async def sign_in(
        self, credential: Json, *, client: str | None, device: Device = NO_DEVICE
    ) -> SignIn:
        """Open a session for whoever has a passkey.

        Args:
            credential: As `PublicKeyCredential.toJSON()` makes it.
            client: The client's address.
            device: What the request says about its device.

        Raises:
            PasskeyRefused: It signs nobody in.
            TooManyAttempts: So did those before, from this client.
        """
        try:
            user = await self._proved(Purpose.SIGN_IN, credential)
            return await self._opened(user, client, device)
        except PasskeyRefused as refused:
            # Not before it is looked at: it is no guess, and its owner waits for nobody's failures.
            await self._throttles.check(PASSKEY, account=None, address=client)
            await self._throttles.failed(PASSKEY, account=None, address=client)
            await self._audit.record(
                "sign_in.refused",
                actor=UNKNOWN,
                subject=refused.user_id or UNKNOWN,
                outcome="refused",
                details={"way": FACTOR, "because": refused.because},
                address=client,
            )
            raise

    async def _opened(self, user: User, client: str | None, device: Device) -> SignIn:
        try:
            opened = await self._sessions.open(
                user, client=client, device=device, has_both_factors=True
            )
        except InvalidCredentials as error:
            # In this moment, or other credentials were changed.
            raise PasskeyRefused("removed", user_id=user.id) from error
        _log.info("signed_in", user_id=user.id, way=FACTOR)
        return opened

    async def is_set(self, user_id: UserId) -> bool:
        """Tell whether a user has a passkey."""
        return bool(await passkeys_of(self._storage, user_id))

    async def factor_options(self, user_id: UserId, challenge_id: str) -> Options:
        """Return what a browser needs to prove that a user is there.

        Args:
            user_id: Who has to prove it.
            challenge_id: Of the factor's challenge; the answer is good for nothing else.
        """
        challenge = await self._challenges.give(
            Purpose.FACTOR, user_id=user_id, subject=challenge_id
        )
        allowed = await passkeys_of(self._storage, user_id)
        return Options(public_key=self._ceremonies.request_options(challenge, allowed=allowed))

    async def prove(self, user: User, given: Given, *, challenge_id: str) -> None:
        """Look at the answer to `factor_options`, once.

        Args:
            user: Who has to prove to be there.
            given: With the answer, as `PublicKeyCredential.toJSON()` makes it.
            challenge_id: Of the factor's challenge.

        Raises:
            FactorWrong: It proves nothing. The passkey's challenge is used up, so ask for another.
        """
        try:
            await self._proved(
                Purpose.FACTOR,
                dict(given.assertion),
                user_id=user.user_id,
                subject=challenge_id,
            )
        except PasskeyRefused as refused:
            _log.info("passkey_refused", user_id=user.id, because=refused.because)
            raise FactorWrong from refused

    async def _proved(
        self,
        purpose: Purpose,
        credential: Json,
        *,
        user_id: UserId | None = None,
        subject: str = "",
    ) -> User:
        """Return whose passkey has answered.

        Raises:
            PasskeyRefused: Nobody's, or not that user's.
        """
        challenge = await self._taken(purpose, credential, user_id=user_id, subject=subject)
        passkey = await self._passkeys.get(id_of(str(credential.get("id"))))
        if passkey is None:
            raise PasskeyRefused("unknown")
        owner = passkey.user_id
        handle = user_handle_of(credential)
        # Whoever is not named before has to be named by the device.
        is_named = handle == owner if user_id is None else handle in (owner, None)
        if not is_named or owner != (user_id or owner):
            raise PasskeyRefused("owner", user_id=owner)
        try:
            shown = self._ceremonies.shown(credential, challenge, passkey)
        except CeremonyFailed as error:
            raise PasskeyRefused("answer", user_id=owner) from error
        if shown.is_synced != passkey.is_synced:
            raise PasskeyRefused("answer", user_id=owner)
        # Before the passkey is written: whoever removes it changes the user too, so that a session
        # of this user as read here is found out to be too old.
        user = await self._users.get(owner)
        if user is None or user.closed_at is not None:
            raise PasskeyRefused("unknown")
        await self._count(passkey, shown, user)
        return user

    async def _taken(
        self, purpose: Purpose, credential: Json, *, user_id: UserId | None, subject: str
    ) -> bytes:
        try:
            challenge = challenge_of(credential)
        except CeremonyFailed as error:
            raise PasskeyRefused("answer") from error
        if not await self._challenges.take(purpose, challenge, user_id=user_id, subject=subject):
            raise PasskeyRefused("challenge")
        return challenge

    async def _count(self, passkey: Passkey, shown: Shown, user: User) -> None:
        """Note the use of a passkey, unless it may be a copy.

        Raises:
            PasskeyRefused: It shows an older count, or it was removed in this moment.
        """
        latest: Passkey | None = passkey
        for _ in range(_ATTEMPTS):
            if latest is None:
                raise PasskeyRefused("unknown", user_id=passkey.user_id)
            if may_be_copied(stored=latest.sign_count, shown=shown.sign_count):
                await self._suspect(latest, shown, user)
                raise PasskeyRefused("count", user_id=passkey.user_id)
            now = self._clock()
            used = replace(latest, sign_count=shown.sign_count, last_used_at=now, updated_at=now)
            try:
                await self._passkeys.replace(used)
            except VersionConflict:
                latest = await self._passkeys.get(passkey.id)
                continue
            return
        raise Unavailable(retry_after_s=1)

    async def _suspect(self, passkey: Passkey, shown: Shown, user: User) -> None:
        """Record that there may be two of a passkey, tell its owner, and show it in the list."""
        await self._audit.record(
            "passkey.copy_suspected",
            actor=UNKNOWN,
            subject=passkey.user_id,
            outcome="refused",
            details={
                "passkey_id": passkey.id,
                "stored": str(passkey.sign_count),
                "shown": str(shown.sign_count),
            },
        )
        _log.warning("passkey_copy_suspected", user_id=passkey.user_id, passkey_id=passkey.id)
        latest: Passkey | None = passkey
        for _ in range(_ATTEMPTS):
            if latest is None:
                return
            now, before = self._clock(), latest.copy_suspected_at
            suspected = replace(latest, copy_suspected_at=now, updated_at=now)
            try:
                async with self._storage.transaction() as transaction:
                    await transaction.documents(Passkey).replace(suspected)
                    if before is None or now - before >= _TOLD_AGAIN:
                        await self._notices.tell(transaction, user, "passkey_copy_suspected")
            except VersionConflict:
                latest = await self._passkeys.get(passkey.id)
                continue
            return
