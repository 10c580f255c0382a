"""The use-cases of a signed-in user's second factors."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from guilder.audit.trail import AuditTrail
from guilder.identity.addresses import Addresses
from guilder.identity.authentication import Principal
from guilder.identity.challenges import FACTOR, Given
from guilder.identity.devices import Device
from guilder.identity.errors import Unauthenticated
from guilder.identity.factor_parts import FactorParts
from guilder.identity.factors.errors import FactorExists, FactorMissing, FactorWrong
from guilder.identity.factors.models import Challenge, TrustedDevice
from guilder.identity.factors.rules import Method, Purpose
from guilder.identity.factors.totp import Enrolment
from guilder.identity.models import User
from guilder.identity.notices import Notices
from guilder.identity.sessions import Sessions, SignIn
from guilder.identity.throttles import Throttles
from guilder.identity.user_changes import UserChanges, carry_over
from guilder.kernel.clock import Clock
from guilder.kernel.errors import GuilderError, NotFound, Unavailable
from guilder.storage.base import Storage, Transaction
from guilder.storage.errors import DuplicateDocument, VersionConflict

T = TypeVar("T")
_TRIES = 8
_APP = "authenticator app"
"""What messages call an app that shows codes."""


class Overview(Struct, frozen=True, kw_only=True):
    """What a user has set up. No secrets.

    Args:
        methods: Second factors, without recovery codes.
        recovery_codes_left: How many were not used.
        devices: On which the second factor is not asked for, newest first.
    """

    methods: tuple[Method, ...]
    recovery_codes_left: int
    devices: tuple[TrustedDevice, ...]


class SecondFactors:
    """Apps, recovery codes and trusted devices of signed-in users. Step-up comes before.

    Invariants:
        With a factor added or removed every other session ends, and no device is trusted. The user
        is told, and it is recorded, in the transaction of the change.
    """

    def __init__(
        self,
        parts: FactorParts,
        *,
        storage: Storage,
        clock: Clock,
        addresses: Addresses,
        sessions: Sessions,
        throttles: Throttles,
        notices: Notices,
        audit: AuditTrail,
    ) -> None:
        """Take what factors need; does nothing yet."""
        self._storage = storage
        self._users = storage.documents(User)
        self._changes = UserChanges(storage, clock=clock)
        self._totp = parts.totp
        self._codes = parts.codes
        self._devices = parts.devices
        self._challenges = parts.challenges
        self._addresses = addresses
        self._sessions = sessions
        self._throttles = throttles
        self._notices = notices
        self._audit = audit

    async def answer(
        self,
        challenge_id: str,
        given: Given,
        *,
        by: Principal | None,
        remember_device: bool,
        client: str | None,
        device: Device,
    ) -> SignIn | Challenge:
        """Look at what is given for a challenge.

        Args:
            challenge_id: As the client gives it.
            given: For it.
            by: Who is signed in, if anybody is.
            remember_device: Ask for no second factor here for 30 days.
            client: The client's address.
            device: What the request says about its device.

        Returns:
            At sign-in the session that it opens; of a step-up the challenge, now approved.

        Raises:
            ChallengeEnded, TooManyAttempts, FactorWrong, PasswordChecksBusy: As `Challenges.prove`.
            InvalidCredentials: What the user signed in with was replaced in this moment.
        """
        proved = await self._challenges.prove(challenge_id, given, by=by, client=client)
        if proved.challenge.purpose is Purpose.STEP_UP:
            return proved.challenge
        user = proved.user
        sign_in = await self._sessions.open(
            user, client=client, device=device, has_both_factors=True
        )
        if remember_device and sign_in.device_token is not None:
            await self._devices.trust(user, sign_in.device_token, device)
            await self._audit.record(
                "trusted_device.added", actor=user.id, subject=user.id, address=client
            )
        return sign_in

    async def overview(self, principal: Principal) -> Overview:
        """Return what the user has set up."""
        user = await self._user(principal)
        return Overview(
            methods=await self._challenges.second_factors(user.user_id),
            recovery_codes_left=await self._codes.left(user.user_id),
            devices=tuple(await self._devices.of(user)),
        )

    async def enrol_totp(self, principal: Principal, *, client: str | None) -> Enrolment:
        """Begin to set up an app. It counts once `confirm_totp` was given a code of it.

        Raises:
            FactorExists: The user has one.
            Unavailable: Another one is being set up in this moment.
        """
        user = await self._user(principal)
        record = self._addresses.record(user)
        name = record.email or record.phone or user.id

        async def enrol(transaction: Transaction) -> Enrolment:
            factor = await self._totp.get(user.user_id)
            if factor is not None and factor.confirmed_at is not None:
                raise FactorExists
            made = await self._totp.enrol(transaction, user.user_id, name=name)
            await self._record(transaction, "factor.begun", user, Method.TOTP, client)
            return made

        return await self._at_last(enrol)

    async def confirm_totp(
        self, principal: Principal, code: str, *, client: str | None
    ) -> list[str]:
        """Let the app count that shows this code; return new recovery codes if there are none.

        Raises:
            FactorWrong: Another code, or there is no app to confirm.
            TooManyAttempts: At this account's factors, or from this client.
            Unavailable: The user is changed in this moment.
        """
        user = await self._user(principal)
        await self._throttles.check(FACTOR, account=user.id, address=client)
        try:
            await self._totp.take(user.user_id, code, is_confirmed=False)
        except FactorWrong:
            await self._throttles.failed(FACTOR, account=user.id, address=client)
            raise
        except GuilderError:
            await self._throttles.taken_back(FACTOR, account=user.id, address=client)
            raise
        has_codes = await self._codes.left(user.user_id) > 0
        made: list[str] = []

        async def confirmed(transaction: Transaction, changed: User) -> None:
            await self._totp.confirm(transaction, changed.user_id)
            if not has_codes:
                made[:] = await self._codes.replace(transaction, changed.user_id)
            await carry_over(transaction, principal, changed)
            await self._told(transaction, changed, "added", client)

        await self._change(user, confirmed, client)
        await self._throttles.succeeded(FACTOR, account=user.id, address=client)
        return made

    async def remove_totp(self, principal: Principal, *, client: str | None) -> None:
        """Forget the user's app; with the last factor, the recovery codes too.

        Raises:
            NotFound: There is none.
            Unavailable: The user is changed in this moment.
        """
        user = await self._user(principal)
        methods = await self._challenges.second_factors(user.user_id)

        async def removed(transaction: Transaction, changed: User) -> None:
            if not await self._totp.remove(transaction, changed.user_id):
                raise NotFound
            is_factor_left = bool(set(methods) - {Method.TOTP})
            if not is_factor_left:
                await self._codes.remove(transaction, changed.user_id)
            await carry_over(transaction, principal, changed, is_factor_left=is_factor_left)
            await self._told(transaction, changed, "removed", client)

        await self._change(user, removed, client)

    async def new_recovery_codes(self, principal: Principal, *, client: str | None) -> list[str]:
        """Return ten new codes, the only ones that are good from now on.

        Raises:
            FactorMissing: There is nothing they could stand in for.
            Unavailable: Others are being made in this moment.
        """
        user = await self._user(principal)
        if not await self._challenges.second_factors(user.user_id):
            raise FactorMissing

        async def made(transaction: Transaction) -> list[str]:
            codes = await self._codes.replace(transaction, user.user_id)
            await self._notices.tell(
                transaction, user, "factor_added", {"factor": "recovery codes"}
            )
            await self._record(transaction, "factor.added", user, Method.RECOVERY_CODE, client)
            return codes

        return await self._at_last(made)

    async def forget_device(
        self, principal: Principal, device_id: str, *, client: str | None
    ) -> None:
        """Trust a device of the user's no longer.

        Raises:
            NotFound: There is none, or it is another's.
        """
        user = await self._user(principal)

        async def forgotten(transaction: Transaction) -> None:
            await self._devices.forget(transaction, user.user_id, device_id)
            await self._audit.record(
                "trusted_device.removed",
                actor=user.id,
                subject=user.id,
                details={"device_id": device_id},
                address=client,
                transaction=transaction,
            )

        await self._at_last(forgotten)

    async def _user(self, principal: Principal) -> User:
        user = await self._users.get(principal.user_id)
        if user is None:
            raise Unauthenticated
        return user

    async def _change(
        self,
        user: User,
        also: Callable[[Transaction, User], Awaitable[None]],
        client: str | None,
    ) -> None:
        """Change the user's factors: all sessions end but the one that does it."""

        def changed(latest: User) -> User:
            if latest.credentials_version != user.credentials_version:
                raise Unavailable(retry_after_s=1)  # What was looked at is out of date.
            return replace(latest, credentials_version=latest.credentials_version + 1)

        await self._changes.change(user.user_id, changed, also=also)
        await self._sessions.end_all(user.user_id, client=client)

    async def _told(
        self, transaction: Transaction, changed: User, what: str, client: str | None
    ) -> None:
        await self._notices.tell(transaction, changed, f"factor_{what}", {"factor": _APP})
        await self._record(transaction, f"factor.{what}", changed, Method.TOTP, client)

    async def _record(
        self,
        transaction: Transaction,
        action: str,
        user: User,
        method: Method,
        client: str | None,
    ) -> None:
        await self._audit.record(
            action,
            actor=user.id,
            subject=user.id,
            details={"method": method.value},
            address=client,
            transaction=transaction,
        )

    async def _at_last(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do something in a transaction, again while others are faster.

        Raises:
            Unavailable: They were, over and over.
        """
        for _ in range(_TRIES):
            try:
                async with self._storage.transaction() as transaction:
                    return await work(transaction)
            except (VersionConflict, DuplicateDocument):
                continue
        raise Unavailable(retry_after_s=1)
