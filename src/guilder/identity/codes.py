"""One-time codes that people type, and links that they click: sent elsewhere, stored as hashes.

A code of 8 digits has 26 bits: little, so it lives for ten minutes at most, and its attempts are
counted. Each attempt is stored before anything is compared, outside of any transaction that might
roll it back. A link has 256 bits and needs no counting.
"""

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from guilder.identity.errors import CodeExpired, CodeWrong, LinkInvalid
from guilder.identity.models import MailLink, OneTimeCode, SpentCode
from guilder.kernel.clock import Clock
from guilder.kernel.errors import Unavailable, check
from guilder.kernel.ids import new_id
from guilder.storage.base import Collection, Document, Storage, Transaction
from guilder.storage.errors import DuplicateDocument, VersionConflict

D = TypeVar("D", bound=Document)

DIGITS = 8
"""26.6 bits; ASVS 6.5.5 wants 20 for ten minutes."""
TTL_MAX_S = 600
ATTEMPTS_MAX = 5
"""At one code."""
LINK_TTL_MAX_S = 72 * 3600
_KEPT = timedelta(minutes=15)
"""After its expiry, so that whoever comes late with the right code is told why it is refused."""
_TOKEN_BYTES = 32
_TOKEN_MAX = 128
_NOBODYS_TTL = timedelta(seconds=TTL_MAX_S)
_TRIES = 40
"""Each lost race is somebody's counted attempt, and few are let through."""


class GivenCode(NamedTuple):
    """A code that was right: what `OneTimeCodes.spend` uses up."""

    issue_id: str


class _Documents(Protocol):
    """A storage or a transaction on it."""

    def documents(self, model: type[D]) -> Collection[D]:
        """Return the collection of `model`."""


class OneTimeCodes:
    """Codes, one at a time for each purpose and subject.

    Invariants:
        A code is good for its own purpose and subject, until a newer one is issued, once.
        At most 5 attempts at a code are compared, however many are made at once. How many codes a
        subject may be sent, and tried at, is the business of `Throttles`: ask it first.
        Codes and subjects are stored as keyed hashes only.
        A subject that was never issued anything is answered alike, after the same reads and writes.
    """

    def __init__(self, storage: Storage, *, clock: Clock, key: bytes) -> None:
        """Take what codes need; does nothing yet.

        Args:
            storage: Migrated with `models.MODELS`.
            clock: Time for expiry.
            key: Keys the hashes: without it a stolen table would show every code in a moment.
        """
        self._storage = storage
        self._codes = storage.documents(OneTimeCode)
        self._clock = clock
        self._key = key

    async def issue(
        self,
        *,
        purpose: str,
        subject: str,
        transaction: Transaction | None = None,
        ttl_s: int = TTL_MAX_S,
    ) -> str:
        """Return a new code, the only one that is good from now on.

        Args:
            purpose: What it proves, such as `sign_in`.
            subject: Whom it is sent to: an id or a blind index. Issue it for somebody unknown too,
                and throw it away: then both are answered alike.
            transaction: In which it is stored; by itself if None.
            ttl_s: 1 to 600 seconds.

        Returns:
            8 digits, which are stored nowhere.

        Raises:
            Unavailable: Another code is being issued in this moment.
        """
        check(0 < ttl_s <= TTL_MAX_S, "a code lives for ten minutes at most")
        code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        documents: _Documents = transaction or self._storage
        codes = documents.documents(OneTimeCode)
        for _ in range(_TRIES if transaction is None else 1):
            earlier = await codes.get(self._id(purpose, subject))
            issued = self._issued(purpose, subject, code, timedelta(seconds=ttl_s), earlier)
            try:
                await _put(codes, issued, earlier)
            except (VersionConflict, DuplicateDocument):
                continue
            return code
        raise Unavailable(retry_after_s=1)

    async def redeem(
        self, *, purpose: str, subject: str, code: str, transaction: Transaction | None = None
    ) -> None:
        """Use a code up.

        Inside a transaction the attempt is counted outside of it, over a connection of its own.
        Where many may come at once, call `given` before the transaction and `spend` in it: else all
        connections could be taken by transactions that wait for one more.

        Raises:
            CodeWrong: Not the latest code, used before, or too many attempts.
            CodeExpired: It is the latest code, and too late.
        """
        given = await self.given(purpose=purpose, subject=subject, code=code)
        await self.spend(given, transaction=transaction)

    async def given(self, *, purpose: str, subject: str, code: str) -> GivenCode:
        """Count an attempt, then compare. The code is still good afterwards, for `spend`.

        Raises:
            CodeWrong: Not the latest code, or too many attempts.
            CodeExpired: It is the latest code, and too late.
        """
        stored = await self._counted(purpose, subject)
        digest = self._digest(purpose, subject, stored.issue_id, _plain(code))
        if not hmac.compare_digest(digest, stored.digest):
            raise CodeWrong
        if self._clock() >= stored.expires_at:
            raise CodeExpired
        return GivenCode(stored.issue_id)

    async def spend(self, given: GivenCode, *, transaction: Transaction | None = None) -> None:
        """Use up a code that was right. One of many at once succeeds.

        Raises:
            CodeWrong: Used before. The transaction can only be left.
        """
        now = self._clock()
        kept_until = now + timedelta(seconds=TTL_MAX_S) + _KEPT
        spent = SpentCode(id=given.issue_id, kept_until=kept_until, created_at=now, updated_at=now)
        documents: _Documents = transaction or self._storage
        try:
            await documents.documents(SpentCode).insert(spent)
        except DuplicateDocument:
            raise CodeWrong from None

    async def _counted(self, purpose: str, subject: str) -> OneTimeCode:
        """Store one more attempt and return what it is compared with.

        Raises:
            CodeWrong: There have been enough.
        """
        for _ in range(_TRIES):
            now = self._clock()
            earlier = await self._codes.get(self._id(purpose, subject))
            # Where there is none, one that nobody can type is made up and counted like any other.
            nobodys = secrets.token_hex(_TOKEN_BYTES)
            stored = earlier or self._issued(purpose, subject, nobodys, _NOBODYS_TTL, None)
            if stored.attempts >= ATTEMPTS_MAX:
                raise CodeWrong
            counted = replace(stored, attempts=stored.attempts + 1, updated_at=now)
            try:
                await _put(self._codes, counted, earlier)
            except (VersionConflict, DuplicateDocument):
                continue
            return counted
        raise CodeWrong

    def _issued(
        self,
        purpose: str,
        subject: str,
        code: str,
        ttl: timedelta,
        earlier: OneTimeCode | None,
    ) -> OneTimeCode:
        now = self._clock()
        issue_id = new_id("code")
        fresh = OneTimeCode(
            id=self._id(purpose, subject),
            issue_id=issue_id,
            digest=self._digest(purpose, subject, issue_id, code),
            attempts=0,
            expires_at=now + ttl,
            kept_until=now + ttl + _KEPT,
            created_at=now,
            updated_at=now,
        )
        if earlier is None:
            return fresh
        return replace(fresh, version=earlier.version, created_at=earlier.created_at)

    def _id(self, purpose: str, subject: str) -> str:
        return _keyed(self._key, "subject", purpose, subject)

    def _digest(self, purpose: str, subject: str, issue_id: str, code: str) -> str:
        return _keyed(self._key, "code", purpose, subject, issue_id, code)


class Links:
    """Tokens for links in messages: verification, recovery, undoing a change.

    Invariants:
        256 random bits, stored as SHA-256. Good for one purpose, until it expires, once.
    """

    def __init__(self, storage: Storage, *, clock: Clock, key: bytes) -> None:
        """Take what links need; does nothing yet.

        Args:
            storage: Migrated with `models.MODELS`.
            clock: Time for expiry.
            key: Keys the hash under which the links of one subject are found.
        """
        self._storage = storage
        self._clock = clock
        self._key = key

    async def issue(
        self, *, purpose: str, subject: str, ttl_s: int, transaction: Transaction | None = None
    ) -> str:
        """Return a new token. Earlier ones stay good; `revoke` ends them.

        Args:
            purpose: What it allows, such as `password_reset`.
            subject: Whom it is for: an id, nothing personal, for it is stored as it is.
            ttl_s: 1 second to 72 hours.
            transaction: In which it is stored; by itself if None.

        Returns:
            43 characters that are safe in a URL, stored nowhere.
        """
        check(0 < ttl_s <= LINK_TTL_MAX_S, "a link lives for 72 hours at most")
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        now = self._clock()
        link = MailLink(
            id=_link_id(purpose, token),
            subject=subject,
            subject_key=_keyed(self._key, "link", purpose, subject),
            kept_until=now + timedelta(seconds=ttl_s),
            created_at=now,
            updated_at=now,
        )
        await self._links(transaction).insert(link)
        return token

    async def subject_of(self, *, purpose: str, token: str) -> str:
        """Return whom a link is for, and leave it good: for what comes before using it.

        Raises:
            LinkInvalid: Unknown, used, expired, or for another purpose.
        """
        return (await self._found(purpose, token, None)).subject

    async def redeem(
        self, *, purpose: str, token: str, transaction: Transaction | None = None
    ) -> str:
        """Use a link up and return whom it is for. One of many at once succeeds.

        Raises:
            LinkInvalid: Unknown, used, expired, or for another purpose.
        """
        link = await self._found(purpose, token, transaction)
        if not await self._links(transaction).delete(link.id):
            raise LinkInvalid
        return link.subject

    async def revoke(
        self, *, purpose: str, subject: str, transaction: Transaction | None = None
    ) -> None:
        """End all links of a subject for a purpose."""
        links = self._links(transaction)
        key = _keyed(self._key, "link", purpose, subject)
        while found := await links.page({"subject_key": key}, limit=100):
            for link in found:
                await links.delete(link.id)

    async def _found(self, purpose: str, token: str, transaction: Transaction | None) -> MailLink:
        if len(token) > _TOKEN_MAX:
            raise LinkInvalid
        link = await self._links(transaction).get(_link_id(purpose, token))
        if link is None or self._clock() >= link.kept_until:
            raise LinkInvalid
        return link

    def _links(self, transaction: Transaction | None) -> Collection[MailLink]:
        documents: _Documents = transaction or self._storage
        return documents.documents(MailLink)


def _plain(code: str) -> str:
    """Return a code without what people put between digits; of a bounded length."""
    return code[: 4 * DIGITS].replace(" ", "").replace("-", "")


def _keyed(key: bytes, *parts: str) -> str:
    # Length first: no two lists of parts make one text.
    raw = "".join(f"{len(part)}:{part}" for part in parts)
    return hmac.digest(key, raw.encode("utf-8", "replace"), hashlib.sha256).hex()


def _link_id(purpose: str, token: str) -> str:
    raw = f"{len(purpose)}:{purpose}{token}"
    return hashlib.sha256(raw.encode("utf-8", "replace")).hexdigest()


async def _put(
    codes: Collection[OneTimeCode], code: OneTimeCode, earlier: OneTimeCode | None
) -> None:
    if earlier is None:
        await codes.insert(code)
    else:
        await codes.replace(code)
