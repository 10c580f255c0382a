"""The use-cases of API keys: make, look at, change, rotate and end them."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from msgspec.structs import replace

from guilder.api_keys.errors import ApiKeyMade, TooManyApiKeys
from guilder.api_keys.known_keys import KnownKeys
from guilder.api_keys.models import ApiKey, ApiKeySecret, ApiKeyUsage
from guilder.api_keys.quotas import Quotas
from guilder.api_keys.rules import (
    KEYS_MAX,
    SECRET_BYTES,
    Mode,
    budget_of,
    is_raised,
    is_widened,
    key_digest,
    visible,
    write_key,
)
from guilder.api_keys.values import Change, Shown, Use, Wanted
from guilder.audit.trail import AuditTrail
from guilder.identity.authentication import Principal
from guilder.identity.errors import Unauthenticated
from guilder.identity.models import User
from guilder.identity.notices import Notices
from guilder.kernel.clock import Clock
from guilder.kernel.errors import FieldError, InvalidRequest, NotFound, Unavailable
from guilder.kernel.ids import UserId, derived_uuid, encode_id, new_uuid
from guilder.storage.base import LedgerStorage, Range, Scalar, Storage, Transaction
from guilder.storage.errors import DuplicateDocument, VersionConflict
from guilder.storage.paging import every_document

PREFIX = "key"
LASTS = timedelta(days=365)
"""When nobody says how long."""
LASTS_AT_MOST = timedelta(days=5 * 365)
_ATTEMPTS = 16

_log = structlog.get_logger(__name__)


class ApiKeyService:
    """Keys of users. What is known of them in memory, and what they use, is kept beside it."""

    def __init__(
        self,
        storage: Storage,
        *,
        book: LedgerStorage,
        clock: Clock,
        mode: Mode,
        known: KnownKeys,
        quotas: Quotas,
        audit: AuditTrail,
        notices: Notices,
    ) -> None:
        """Take what keys need.

        Args:
            storage: Migrated with `models.MODELS`.
            book: Where budgets are counted.
            clock: Time for expiry and records.
            mode: Of the keys of this deployment.
            known: Told of changes.
            quotas: Counts requests.
            audit: The record of security events.
            notices: Tells users of new keys.
        """
        self._storage = storage
        self._keys = storage.documents(ApiKey)
        self._users = storage.documents(User)
        self._book = book
        self._clock = clock
        self._mode = mode
        self._known = known
        self._quotas = quotas
        self._audit = audit
        self._notices = notices

    async def create(self, owner: Principal, wanted: Wanted, *, client: str | None = None) -> Shown:
        """Make a key, tell its owner by message, and return it: nobody can be shown it again.

        Args:
            owner: Who has signed in, and proved it afresh.
            wanted: Checked.
            client: The client's address.

        Raises:
            TooManyApiKeys: There are as many as anybody may have.
            ApiKeyMade: It was made under this idempotency key.
        """
        user = await self._users.get(owner.user_id)
        if user is None:
            raise Unauthenticated
        now = self._clock()
        text = write_key(self._mode, secrets.token_bytes(SECRET_BYTES))
        key = ApiKey(
            id=_key_id(owner, wanted.idempotency_key),
            user_id=owner.user_id,
            wallet_id=owner.wallet_id,
            name=wanted.name,
            mode=self._mode,
            prefix=visible(text),
            scopes=tuple(sorted(wanted.scopes)),
            limits=wanted.limits,
            addresses=wanted.addresses,
            expires_at=wanted.expires_at or now + LASTS,
            created_at=now,
            updated_at=now,
        )
        await self.check_new(owner, wanted)
        try:
            async with self._storage.transaction() as transaction:
                await transaction.documents(ApiKey).insert(key)
                await transaction.documents(ApiKeySecret).insert(_secret(text, key, now))
                details = {"scopes": ",".join(key.scopes)}
                await self._record(transaction, "api_key.created", key, details, client)
                await self._notices.tell(
                    transaction, user, "api_key_created", {"name": wanted.name}
                )
        except DuplicateDocument:
            raise _made(key.id) from None
        _log.info("api_key_created", key_id=key.id, user_id=key.user_id)
        return Shown(key=key, text=text)

    async def check_new(self, owner: Principal, wanted: Wanted) -> None:
        """Refuse a key that could not be made now: before a fresh factor is asked for.

        Raises:
            InvalidRequest: It would end too early or too late.
            TooManyApiKeys: There are as many as anybody may have. Many requests at once may make
                some more: the number guards against clutter, not against theft.
            ApiKeyMade: It was made under this idempotency key.
        """
        _check_end(wanted.expires_at, now=self._clock())
        key_id = _key_id(owner, wanted.idempotency_key)
        if wanted.idempotency_key is not None and await self._keys.get(key_id) is not None:
            raise _made(key_id)
        if len(await self._page(owner.user_id, limit=KEYS_MAX)) == KEYS_MAX:
            raise TooManyApiKeys(f"Delete one of your {KEYS_MAX} keys first.")

    async def show(self, owner: Principal, key_id: str) -> ApiKey:
        """Return one of the owner's keys.

        Raises:
            NotFound: There is none, it is another's, or it was deleted.
        """
        key = await self._keys.get(key_id)
        if key is None or key.user_id != owner.user_id or key.is_revoked:
            raise NotFound
        return key

    async def page(
        self, owner: Principal, *, after: tuple[datetime, str] | None, limit: int
    ) -> list[ApiKey]:
        """Return the owner's keys, newest first; deleted ones are left out."""
        return await self._page(owner.user_id, after=after, limit=limit)

    async def needs_fresh_factor(self, owner: Principal, key_id: str, change: Change) -> bool:
        """Tell whether a change gives a key more than it has.

        Raises:
            NotFound: There is none, or it is another's.
        """
        return _gives_more(await self.show(owner, key_id), change)

    async def change(
        self,
        owner: Principal,
        key_id: str,
        change: Change,
        *,
        may_raise: bool,
        client: str | None = None,
    ) -> ApiKey:
        """Change a key, everywhere within a second.

        Args:
            may_raise: The owner has proved it afresh, for just this change.

        Raises:
            NotFound: There is none, or it is another's.
            Unavailable: Somebody else has just made it smaller, or keeps changing it.
        """

        def changed(key: ApiKey) -> ApiKey:
            if _gives_more(key, change) and not may_raise:
                # It has become smaller since it was looked at. Asked again, a factor is asked for.
                raise Unavailable(retry_after_s=1)
            return replace(
                key,
                name=key.name if change.name is None else change.name,
                limits=key.limits if change.limits is None else change.limits,
                addresses=key.addresses if change.addresses is None else change.addresses,
            )

        async def record(transaction: Transaction, key: ApiKey) -> None:
            details = {"raised": "yes" if may_raise else "no"}
            await self._record(transaction, "api_key.changed", key, details, client)

        return await self._replace(owner, key_id, changed, record)

    async def rotate(
        self, owner: Principal, key_id: str, *, overlap_s: int, client: str | None = None
    ) -> Shown:
        """Give a key a new secret; those before it end after `overlap_s` seconds at the latest.

        Raises:
            NotFound: There is none, or it is another's.
        """
        text = write_key(self._mode, secrets.token_bytes(SECRET_BYTES))
        now = self._clock()
        ends_at = now + timedelta(seconds=overlap_s)

        def rotated(key: ApiKey) -> ApiKey:
            return replace(key, prefix=visible(text), rotated_at=now)

        async def also(transaction: Transaction, key: ApiKey) -> None:
            stored = transaction.documents(ApiKeySecret)
            for each in await _secrets_of(transaction, key):
                if each.ends_at is not None and each.ends_at <= now:
                    await stored.delete(each.id)
                elif each.ends_at is None or each.ends_at > ends_at:
                    await stored.replace(replace(each, ends_at=ends_at, updated_at=now))
            await stored.insert(_secret(text, key, now))
            details = {"overlap_s": str(overlap_s)}
            await self._record(transaction, "api_key.rotated", key, details, client)

        return Shown(key=await self._replace(owner, key_id, rotated, also), text=text)

    async def revoke(self, owner: Principal, key_id: str, *, client: str | None = None) -> None:
        """End a key, everywhere within a second.

        Raises:
            NotFound: There is none, it is another's, or it was deleted.
        """

        async def also(transaction: Transaction, key: ApiKey) -> None:
            for each in await _secrets_of(transaction, key):
                await transaction.documents(ApiKeySecret).delete(each.id)
            await self._record(transaction, "api_key.revoked", key, {}, client)

        await self._replace(owner, key_id, lambda key: replace(key, is_revoked=True), also)

    async def use(self, owner: Principal, key_id: str) -> Use:
        """Return what a key has used.

        Raises:
            NotFound: There is none, or it is another's.
        """
        key = await self.show(owner, key_id)
        await self._quotas.flush_key(key.id)
        usage = await self._storage.documents(ApiKeyUsage).get(key.id)
        now = self._clock()
        budget = budget_of(key.id, key.limits)
        ids = [limit.counter_id(limit.asset or "", now) for limit in budget]
        counters = await self._book.counters(ids) if ids else {}
        spent = tuple(counters[each].used if each in counters else 0 for each in ids)
        return Use(key=key, usage=usage, spent=spent, now=now)

    async def _page(
        self, user_id: UserId, *, limit: int, after: tuple[Scalar, str] | None = None
    ) -> list[ApiKey]:
        return await self._keys.page(
            {"user_id": user_id, "is_revoked": False},
            within=Range(field="created_at"),
            after=after,
            descending=True,
            limit=limit,
        )

    async def _replace(
        self,
        owner: Principal,
        key_id: str,
        change: Callable[[ApiKey], ApiKey],
        also: Callable[[Transaction, ApiKey], Awaitable[None]],
    ) -> ApiKey:
        """Store a changed key and what belongs to it; this process knows of it at once."""
        for _ in range(_ATTEMPTS):
            key = await self.show(owner, key_id)
            wanted = replace(change(key), updated_at=self._clock())
            try:
                async with self._storage.transaction() as transaction:
                    stored = await transaction.documents(ApiKey).replace(wanted)
                    await also(transaction, stored)
            except (VersionConflict, DuplicateDocument):
                continue
            self._known.forget(key.id)
            _log.info("api_key_changed", key_id=key.id, is_revoked=stored.is_revoked)
            return stored
        raise Unavailable(retry_after_s=1)

    async def _record(
        self,
        transaction: Transaction,
        action: str,
        key: ApiKey,
        details: dict[str, str],
        client: str | None,
    ) -> None:
        await self._audit.record(
            action,
            actor=key.user_id,
            subject=key.user_id,
            details={"api_key_id": key.id, **details},
            address=client,
            transaction=transaction,
        )


async def _secrets_of(transaction: Transaction, key: ApiKey) -> list[ApiKeySecret]:
    """Return all of them: of those that were left out, one could be a thief's."""
    secrets = every_document(transaction.documents(ApiKeySecret), {"key_id": key.id})
    return [secret async for secret in secrets]


def _secret(text: str, key: ApiKey, now: datetime) -> ApiKeySecret:
    return ApiKeySecret(id=key_digest(text), key_id=key.id, created_at=now, updated_at=now)


def _key_id(owner: Principal, idempotency_key: str | None) -> str:
    uuid: UUID = new_uuid()
    if idempotency_key is not None:
        uuid = derived_uuid("api-key", owner.user_id, idempotency_key)
    return encode_id(PREFIX, uuid)


def _made(key_id: str) -> ApiKeyMade:
    return ApiKeyMade(
        f"This request made the key {key_id}, which was shown then. Rotate it to be shown another."
    )


def _gives_more(key: ApiKey, change: Change) -> bool:
    if change.limits is not None and is_raised(key.limits, change.limits):
        return True
    return change.addresses is not None and is_widened(key.addresses, change.addresses)


def _check_end(expires_at: datetime | None, *, now: datetime) -> None:
    if expires_at is not None and not now < expires_at <= now + LASTS_AT_MOST:
        detail = f"Give a time within the next {LASTS_AT_MOST.days} days."
        raise InvalidRequest(fields=(FieldError("/expires_at", "out_of_range", detail),))
