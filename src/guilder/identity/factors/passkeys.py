"""The passkeys of a user: made, listed, renamed and removed by whoever is signed in."""

from collections.abc import Sequence
from typing import NamedTuple

import structlog
from msgspec import Struct
from msgspec.structs import replace

from guilder.audit.trail import AuditTrail
from guilder.identity.addresses import Addresses
from guilder.identity.authentication import Principal
from guilder.identity.contacts import lets_in
from guilder.identity.errors import Unauthenticated
from guilder.identity.factors.passkey_ceremonies import (
    Ceremonies,
    CeremonyFailed,
    Json,
    NewKey,
    challenge_of,
)
from guilder.identity.factors.passkey_challenges import TTL_S, PasskeyChallenges, Purpose
from guilder.identity.factors.passkey_errors import (
    PasskeyKnown,
    PasskeyLastWayIn,
    PasskeyNotMade,
    TooManyPasskeys,
)
from guilder.identity.factors.passkey_models import Passkey, PasskeyRecord
from guilder.identity.factors.passkey_rules import PASSKEYS_MAX
from guilder.identity.factors.recovery_codes import RecoveryCodes
from guilder.identity.factors.totp import Totp
from guilder.identity.models import User
from guilder.identity.notices import Notices
from guilder.identity.sessions import Sessions
from guilder.identity.user_changes import Also, UserChanges, carry_over
from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound, Unavailable
from guilder.kernel.ids import UserId, derived_uuid, encode_id
from guilder.notifications.models import Channel
from guilder.storage.base import Range, Storage, Transaction
from guilder.storage.errors import DuplicateDocument, VersionConflict
from guilder.vault.vault import Vault, context_of

_ATTEMPTS = 16
FACTOR = "passkey"
"""What records and messages call it."""

_log = structlog.get_logger(__name__)


class Options(Struct, frozen=True, kw_only=True):
    """What a browser is to do.

    Args:
        public_key: For `navigator.credentials`.
        expires_in_s: How long its answer is waited for.
    """

    public_key: Json
    expires_in_s: int = TTL_S


class Added(NamedTuple):
    """A passkey that was added.

    Args:
        recovery_codes: New ones, shown once; none if the user has some.
    """

    passkey: PasskeyRecord
    recovery_codes: list[str]


class Passkeys:
    """The use-cases of a signed-in user's passkeys. Step-up comes before.

    Invariants:
        A passkey has one user, for ever. With one added or removed every other session ends, and
        the user is told; it is recorded, all in the transaction of the change.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        ceremonies: Ceremonies,
        challenges: PasskeyChallenges,
        vault: Vault,
        addresses: Addresses,
        totp: Totp,
        codes: RecoveryCodes,
        sessions: Sessions,
        notices: Notices,
        audit: AuditTrail,
        sms_offered: bool,
    ) -> None:
        """Take what passkeys need; does nothing yet.

        Args:
            storage: Migrated with `passkey_models.MODELS`.
            clock: Time for records.
            ceremonies: Speaks to browsers.
            challenges: What they answer.
            vault: Seals the names of passkeys.
            addresses: Opens what people tell their accounts apart by.
            totp: The other second factor there may be.
            codes: Stand in for a second factor as long as there is one.
            sessions: Ended with a change.
            notices: Tells the user.
            audit: The record of security events.
            sms_offered: There is a way to send SMS.
        """
        self._storage = storage
        self._passkeys = storage.documents(Passkey)
        self._users = storage.documents(User)
        self._changes = UserChanges(storage, clock=clock)
        self._clock = clock
        self._ceremonies = ceremonies
        self._challenges = challenges
        self._vault = vault
        self._addresses = addresses
        self._totp = totp
        self._codes = codes
        self._sessions = sessions
        self._notices = notices
        self._audit = audit
        self._sms_offered = sms_offered

    async def creation_options(self, principal: Principal) -> Options:
        """Return what a browser needs to make a passkey for the signed-in user.

        Raises:
            Unauthenticated: The user is gone.
            TooManyPasskeys: The user has as many as are kept.
        """
        user = await self._user(principal)
        known = await passkeys_of(self._storage, user.user_id)
        if len(known) >= PASSKEYS_MAX:
            raise TooManyPasskeys
        record = self._addresses.record(user)
        challenge = await self._challenges.give(Purpose.REGISTER, user_id=user.user_id)
        return Options(
            public_key=self._ceremonies.creation_options(
                user.user_id,
                name=record.email or record.phone or record.name,
                display=record.name,
                challenge=challenge,
                known=known,
            )
        )

    async def add(
        self, principal: Principal, credential: Json, *, name: str, client: str | None
    ) -> Added:
        """Keep the passkey that a browser has made.

        Args:
            principal: Who asked for the options.
            credential: As `PublicKeyCredential.toJSON()` makes it.
            name: What its owner calls it.
            client: The client's address.

        Raises:
            Unauthenticated: The user is gone.
            PasskeyNotMade: It does not answer the challenge that this user was given.
            PasskeyKnown: Somebody has it.
            TooManyPasskeys: The user has as many as are kept.
            Unavailable: The user is changed in this moment.
        """
        user = await self._user(principal)
        try:
            made = await self._made(user.user_id, credential)
        except CeremonyFailed as error:
            await self._audit.record(
                "factor.added",
                actor=user.id,
                subject=user.id,
                outcome="refused",
                details={"method": FACTOR},
                address=client,
            )
            raise PasskeyNotMade from error
        passkey = self._passkey(user.user_id, made, name)
        codes = await self._store(principal, user, passkey, client)
        _log.info("passkey_added", user_id=user.id, passkey_id=passkey.id)
        return Added(self._record(passkey), codes)

    async def _made(self, user_id: UserId, credential: Json) -> NewKey:
        """Use the challenge up, and look at what was made.

        Raises:
            CeremonyFailed: It is no answer to a challenge that this user was given.
        """
        challenge = challenge_of(credential)
        if not await self._challenges.take(Purpose.REGISTER, challenge, user_id=user_id):
            raise CeremonyFailed
        return self._ceremonies.made(credential, challenge)

    def _passkey(self, user_id: UserId, made: NewKey, name: str) -> Passkey:
        now = self._clock()
        passkey_id = id_of(made.credential_id)
        return Passkey(
            id=passkey_id,
            user_id=user_id,
            name=self._vault.seal(name, context=_place(passkey_id)),
            credential_id=made.credential_id,
            public_key=made.public_key,
            sign_count=made.sign_count,
            transports=made.transports,
            aaguid=made.aaguid,
            is_synced=made.is_synced,
            created_at=now,
            updated_at=now,
        )

    async def _store(
        self, principal: Principal, user: User, passkey: Passkey, client: str | None
    ) -> list[str]:
        """Store a new passkey, and return recovery codes if there are none."""
        if await self._passkeys.get(passkey.id) is not None:
            raise PasskeyKnown
        has_codes = await self._codes.left(user.user_id) > 0
        codes: list[str] = []

        async def stored(transaction: Transaction, changed: User) -> None:
            if len(await passkeys_of(transaction, changed.user_id)) >= PASSKEYS_MAX:
                raise TooManyPasskeys
            await transaction.documents(Passkey).insert(passkey)
            if not has_codes:
                codes[:] = await self._codes.replace(transaction, changed.user_id)
            await carry_over(transaction, principal, changed)
            await self._told(transaction, changed, "added", passkey.id, client)

        try:
            await self._change(user, stored, client)
        except DuplicateDocument as error:
            raise PasskeyKnown from error
        return codes

    async def listed(self, user_id: UserId) -> list[PasskeyRecord]:
        """Return a user's passkeys, in the order in which they were added."""
        return [self._record(each) for each in await passkeys_of(self._storage, user_id)]

    async def rename(self, principal: Principal, passkey_id: str, *, name: str) -> PasskeyRecord:
        """Call a passkey something else.

        Raises:
            NotFound: The user has no such passkey.
            Unavailable: It is changed over and over in this moment.
        """
        for _ in range(_ATTEMPTS):
            passkey = await self._passkeys.get(passkey_id)
            if passkey is None or passkey.user_id != principal.user_id:
                raise NotFound
            sealed = self._vault.seal(name, context=_place(passkey.id))
            wanted = replace(passkey, name=sealed, updated_at=self._clock())
            try:
                return self._record(await self._passkeys.replace(wanted))
            except VersionConflict:
                continue  # It has just signed somebody in.
        raise Unavailable(retry_after_s=1)

    async def remove(self, principal: Principal, passkey_id: str, *, client: str | None) -> None:
        """Take a passkey away from its user; with the last factor, the recovery codes too.

        Raises:
            NotFound: The user has no such passkey.
            PasskeyLastWayIn: Nothing else would sign the user in.
            Unavailable: The user is changed in this moment.
        """
        user = await self._user(principal)
        has_app = await self._totp.is_set(user.user_id)

        async def removed(transaction: Transaction, changed: User) -> None:
            # Here, where nobody else changes the user: two that are removed at once would each
            # count on the other.
            mine = await passkeys_of(transaction, changed.user_id)
            if passkey_id not in {each.id for each in mine}:
                raise NotFound
            is_last = len(mine) == 1
            if is_last and not self._reads_messages(changed):
                raise PasskeyLastWayIn
            await transaction.documents(Passkey).delete(passkey_id)
            is_factor_left = has_app or not is_last
            if not is_factor_left:
                await self._codes.remove(transaction, changed.user_id)
            await carry_over(transaction, principal, changed, is_factor_left=is_factor_left)
            await self._told(transaction, changed, "removed", passkey_id, client)

        await self._change(user, removed, client)
        _log.info("passkey_removed", user_id=user.id, passkey_id=passkey_id)

    async def _change(self, user: User, also: Also, client: str | None) -> None:
        """Change the user's factors: all sessions end but the one that does it."""

        def changed(latest: User) -> User:
            if latest.credentials_version != user.credentials_version:
                raise Unavailable(retry_after_s=1)  # What was looked at is out of date.
            return replace(latest, credentials_version=latest.credentials_version + 1)

        await self._changes.change(user.user_id, changed, also=also)
        await self._sessions.end_all(user.user_id, client=client)

    def _reads_messages(self, user: User) -> bool:
        """Tell whether the user can sign in with a code that is sent."""
        by_mail = user.email_key is not None and lets_in(user, Channel.EMAIL)
        by_sms = user.phone_key is not None and lets_in(user, Channel.SMS) and self._sms_offered
        return by_mail or by_sms

    async def _user(self, principal: Principal) -> User:
        user = await self._users.get(principal.user_id)
        if user is None:
            raise Unauthenticated
        return user

    async def _told(
        self, transaction: Transaction, user: User, what: str, passkey_id: str, client: str | None
    ) -> None:
        """Tell the user, and record it."""
        await self._notices.tell(transaction, user, f"factor_{what}", values={"factor": FACTOR})
        await self._audit.record(
            f"factor.{what}",
            actor=user.id,
            subject=user.id,
            details={"method": FACTOR, "passkey_id": passkey_id},
            address=client,
            transaction=transaction,
        )

    def _record(self, passkey: Passkey) -> PasskeyRecord:
        return PasskeyRecord(
            id=passkey.id,
            name=self._vault.open(passkey.name, context=_place(passkey.id)),
            is_synced=passkey.is_synced,
            created_at=passkey.created_at,
            last_used_at=passkey.last_used_at,
            copy_suspected_at=passkey.copy_suspected_at,
        )


def id_of(credential_id: str) -> str:
    """Return the id of the passkey that a device calls so."""
    return encode_id("passkey", derived_uuid("passkey", credential_id))


async def passkeys_of(where: Storage | Transaction, user_id: UserId) -> Sequence[Passkey]:
    """Return a user's passkeys, in the order in which they were added."""
    return await where.documents(Passkey).page(
        {"user_id": user_id}, within=Range(field="created_at"), limit=2 * PASSKEYS_MAX
    )


def _place(passkey_id: str) -> str:
    return context_of(Passkey.collection, passkey_id, "name")
