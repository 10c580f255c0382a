"""Finds the documents that are kept about a person, and writes them out as the person gets them."""

from collections.abc import AsyncIterator
from typing import Any

from msgspec import Struct

from guilder.kernel.ids import UserId, WalletId
from guilder.privacy.holdings import HOLDINGS, Holding, Key, Look
from guilder.storage.base import Document, Range, Scalar, Storage
from guilder.storage.paging import every_document
from guilder.vault.vault import Vault, context_of

_BY_SECTION = {each.section: each for each in HOLDINGS}


class Person(Struct, frozen=True, kw_only=True):
    """Whose documents are meant."""

    user_id: UserId
    wallet_id: WalletId

    def key(self, look: Look) -> str:
        """Return what a look looks for."""
        return self.wallet_id if look.key is Key.WALLET else self.user_id


async def documents_of(
    storage: Storage, holding: Holding, person: Person
) -> AsyncIterator[Document]:
    """Yield each of a person's documents of one kind once."""
    parents = _BY_SECTION.get(holding.parents or "")
    if parents is not None:
        (look,) = holding.looks
        async for parent in documents_of(storage, parents, person):
            async for each in _found(storage, holding.model, look, parent.id):
                yield each
        return
    for place, look in enumerate(holding.looks):
        async for each in _found(storage, holding.model, look, person.key(look)):
            if not any(_is_by(earlier, each, person) for earlier in holding.looks[:place]):
                yield each


def written(document: Document, holding: Holding, vault: Vault) -> dict[str, Any]:
    """Return what of a document its person gets.

    Raises:
        SealBroken: A stored value was changed, or its key is gone.
    """
    said: dict[str, Any] = {"id": document.id} if holding.shows_id else {}
    said["created_at"] = document.created_at
    for field in holding.shown:
        value = getattr(document, field)
        if field in document.sealed and value is not None:
            value = vault.open(value, context=context_of(document.collection, document.id, field))
        said[field] = value
    return said


def _is_by(look: Look, document: Document, person: Person) -> bool:
    is_key = getattr(document, look.field) == person.key(look)
    return is_key and all(getattr(document, field) == value for field, value in look.also)


async def _found(
    storage: Storage, model: type[Document], look: Look, key: str
) -> AsyncIterator[Document]:
    collection = storage.documents(model)
    if look.field == "id":
        document = await collection.get(key)
        if document is not None:
            yield document
        return
    wanted: dict[str, Scalar] = {look.field: key, **dict(look.also)}
    within = None if look.order is None else Range(field=look.order)
    async for document in every_document(collection, wanted, within=within):
        yield document
