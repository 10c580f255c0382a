"""Writes events into the audit record, and finds them again."""

import hmac
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from msgspec import Struct

from guilder.audit import rules
from guilder.audit.models import AuditEvent, AuditSeal, AuditWaiting, Outcome
from guilder.kernel.clock import Clock
from guilder.kernel.ids import new_id
from guilder.storage.base import Range, Storage, Transaction
from guilder.vault.vault import derived_key

_NO_DETAILS: Mapping[str, str] = MappingProxyType({})
_PAGE = 200
_SEARCHED = ("subject", "actor", "action")
"""In this order: nobody has as many events as an action."""


class AddressKey:
    """Hides client addresses: the record says whether two are the same, not which they are.

    An address is personal data and the record is for ever, so it is kept as a keyed hash. Whoever
    has the key and a suspected address finds its events; the database alone tells neither. No
    prefix is kept beside it: it would be personal data too, and would make guessing the rest cheap.

    Args:
        secret: At least 32 bytes that are kept for as long as the record.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = derived_key(secret, "audit-address")

    def hidden(self, address: str) -> str:
        """Return the 32 hexadecimal digits that stand for an address."""
        return hmac.digest(self._key, address.encode(), "sha256")[:16].hex()


class Search(Struct, frozen=True, kw_only=True):
    """Which events are wanted. None means any.

    Args:
        since: Earliest time of the event.
        address: A client address, as it was given to `record`.
    """

    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    address: str | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """An event and its place in the chain.

    Args:
        position: None while it is not sealed, which takes about a second.
    """

    event: AuditEvent
    position: int | None


class AuditTrail:
    """The audit record.

    Args:
        storage: Migrated with `models.MODELS`.
        clock: Time of the events.
        address_key: Hides client addresses; without it none are kept.
    """

    def __init__(
        self, storage: Storage, *, clock: Clock, address_key: AddressKey | None = None
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._address_key = address_key

    async def record(
        self,
        action: str,
        *,
        actor: str,
        subject: str,
        outcome: Outcome = "done",
        details: Mapping[str, str] = _NO_DETAILS,
        address: str | None = None,
        transaction: Transaction | None = None,
    ) -> None:
        """Add an event.

        Args:
            action: Noun and past participle with a dot between, as `session.opened`.
            actor: Id of who did it; `rules.UNKNOWN` if nobody is signed in.
            subject: Id of whom or what it was done to; `rules.UNKNOWN` for a guess.
            outcome: Whether it was done or refused.
            details: Words of ours, ids and numbers; see `rules`. Nothing that somebody typed.
            address: The client's, of `client_address`; kept as a keyed hash.
            transaction: Of the change that this is about: both are stored or neither. Without it
                the event has one of its own, as a refusal must, whose transaction is rolled back.

        Raises:
            InvariantViolation: It is no event that may be kept for ever.
            StorageUnavailable: It is not recorded, or nobody knows. Fail with it: what cannot be
                recorded does not happen.
        """
        rules.check_event(action, actor, subject, details)
        now = self._clock()
        event = AuditEvent(
            id=new_id("audit"),
            action=action,
            actor=actor,
            subject=subject,
            outcome=outcome,
            details=dict(details),
            address=self._hidden(address),
            created_at=now,
            updated_at=now,
        )
        if transaction is not None:
            await _insert(transaction, event)
            return
        async with self._storage.transaction() as own:
            await _insert(own, event)

    async def search(
        self, wanted: Search, *, after: AuditEvent | None = None, limit: int = 100
    ) -> list[Entry]:
        """Return events, newest first.

        Args:
            after: The last one of the page before.
        """
        found: list[AuditEvent] = []
        while len(found) < limit:
            page = await self._page(wanted, after)
            found += [each for each in page if self._is_wanted(each, wanted)]
            if len(page) < _PAGE:
                break
            after = page[-1]
        return await self._placed(found[:limit])

    async def _page(self, wanted: Search, after: AuditEvent | None) -> list[AuditEvent]:
        """Return events by the narrowest index; not all of them are wanted."""
        given = {field: getattr(wanted, field) for field in _SEARCHED}
        narrow = next((field for field in _SEARCHED if given[field] is not None), None)
        return await self._storage.documents(AuditEvent).page(
            {} if narrow is None else {narrow: given[narrow]},
            within=Range(field="created_at", at_least=wanted.since),
            after=(after.created_at, after.id) if after else None,
            descending=True,
            limit=_PAGE,
        )

    def _is_wanted(self, event: AuditEvent, wanted: Search) -> bool:
        if wanted.address is not None and event.address != self._hidden(wanted.address):
            return False
        return all(getattr(wanted, field) in (None, getattr(event, field)) for field in _SEARCHED)

    async def _placed(self, events: list[AuditEvent]) -> list[Entry]:
        seals = await self._storage.documents(AuditSeal).get_many([each.id for each in events])
        return [
            Entry(event=each, position=seals[each.id].position if each.id in seals else None)
            for each in events
        ]

    def _hidden(self, address: str | None) -> str | None:
        if address is None or self._address_key is None:
            return None
        return self._address_key.hidden(address)


async def _insert(transaction: Transaction, event: AuditEvent) -> None:
    await transaction.documents(AuditEvent).insert(event)
    waiting = AuditWaiting(id=event.id, created_at=event.created_at, updated_at=event.created_at)
    await transaction.documents(AuditWaiting).insert(waiting)
