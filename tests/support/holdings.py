"""A document of every kind about somebody, each text in it a mark that is found again anywhere."""

import typing
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct

from guilder.audit.models import AuditEvent, AuditWaiting
from guilder.kernel.ids import SessionId, UserId, WalletId
from guilder.privacy.holdings import HOLDINGS, Holding
from guilder.privacy.reader import Person
from guilder.storage.base import Document, Storage
from guilder.vault.vault import Vault, context_of

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MADE_BY_REGISTERING = {"users", "wallets"}


def mark(who: str, holding: Holding, field: str) -> str:
    """Return the text that stands in a field of somebody's document."""
    return f"mark-{who}-{holding.section}-{field}-end"


def ids_of(person: Person) -> dict[str, str]:
    """Return the ids of somebody's documents by section: the parents' where they are shared."""
    ids: dict[str, str] = {}
    for holding in HOLDINGS:
        by_id = any(look.field == "id" for look in holding.looks)
        own = f"{holding.model.collection}_of_{person.user_id}"
        ids[holding.section] = (
            own if not by_id else ids[holding.parents] if holding.parents else person.user_id
        )
    return ids


async def seed(
    storage: Storage,
    vault: Vault,
    person: Person,
    who: str,
    *,
    without: frozenset[str] = frozenset(),
) -> dict[str, Document]:
    """Store a document of every kind about somebody who has registered; return them by section.

    Args:
        without: Sections that are left out.
    """
    ids, seeded = ids_of(person), dict[str, Document]()
    for holding in HOLDINGS:
        if holding.model.collection in MADE_BY_REGISTERING or holding.section in without:
            continue
        document = _filled(holding, vault, person, ids, who)
        async with storage.transaction() as transaction:
            await transaction.documents(holding.model).insert(document)
            if holding.model is AuditEvent:
                waiting = AuditWaiting(id=document.id, created_at=NOON, updated_at=NOON)
                await transaction.documents(AuditWaiting).insert(waiting)
        seeded[holding.section] = document
    return seeded


def _filled(
    holding: Holding, vault: Vault, person: Person, ids: dict[str, str], who: str
) -> Document:
    model = holding.model
    hints = typing.get_type_hints(model)
    document_id = ids[holding.section]
    values: dict[str, Any] = {"id": document_id, "version": 1}
    for field in msgspec.structs.fields(model):
        if field.name in values:
            continue
        text = mark(who, holding, field.name)
        value = _sample(hints[field.name], text, person)
        if field.name in model.sealed:
            value = vault.seal(text, context=context_of(model.collection, document_id, field.name))
        values[field.name] = value
    for look in holding.looks:
        if holding.parents is not None and look.field != "id":
            values[look.field] = ids[holding.parents]
        elif look.field != "id":
            values[look.field] = person.key(look)
        values.update(dict(look.also) if look is holding.looks[0] else {})
    if "due_at" in values:
        # Nothing that runs shall take it for work to be done.
        values["due_at"] = datetime(9000, 1, 1, tzinfo=UTC)
    for time in ("next_check_at", "next_attempt_at", "expires_at", "ends_at", "remove_at"):
        if time in values:
            values[time] = datetime(9000, 1, 1, tzinfo=UTC)
    return model(**values)


def _sample(hint: Any, text: str, person: Person) -> Any:
    """Return a value of a type, with the text in it wherever text can be."""
    known = {UserId: person.user_id, WalletId: person.wallet_id, SessionId: "session_test"}
    if hint in known:
        return known[hint]
    plain = {str: text, int: 7, bool: False, datetime: NOON}
    if hint in plain:
        return plain[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return inner[0]
    if origin is dict:
        return {text: _sample(inner[1], text, person)}
    if origin is tuple:
        return (_sample(inner[0], text, person),)
    if inner:
        return _sample(next(each for each in inner if each is not type(None)), text, person)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return list(hint)[-1]
    if isinstance(hint, type) and issubclass(hint, Struct):
        return hint()
    message = f"no sample of {hint}"
    raise AssertionError(message)
