"""Gives every sealed field of every stored document a wrap under the current key.

Runs beside those who read and write. A document is written back under the version it was read
with, so whoever changes it meanwhile wins, and it is looked at again. What is current is only
read: stopped anywhere and started again, it goes on with what is left.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from msgspec.structs import replace

from guilder.kernel.errors import check
from guilder.storage.base import Collection, Document, Storage
from guilder.storage.errors import VersionConflict
from guilder.vault.errors import SealBroken
from guilder.vault.vault import Vault, context_of

_PAGE = 200
_AT_ONCE = 4
"""Writes at a time: those who serve need the database more."""
_ATTEMPTS = 64
"""Looks at one document that is changed under us every time."""

_log = structlog.get_logger(__name__)
D = TypeVar("D", bound=Document)


@dataclass(slots=True)
class Rotated:
    """What was found in one collection. Counts are of sealed values, not of documents.

    Args:
        collection: Its name.
        current: Sealed under the current key before anything was done.
        rewrapped: Given a new wrap.
        outdated: Left under another key: only counted, or changed under us every time.
        broken: Cannot be opened under any key that was given. The log names their places.
    """

    collection: str
    current: int = 0
    rewrapped: int = 0
    outdated: int = 0
    broken: int = 0

    def add(self, other: "Rotated") -> None:
        """Count in what was found in a part of the collection."""
        self.current += other.current
        self.rewrapped += other.rewrapped
        self.outdated += other.outdated
        self.broken += other.broken

    @property
    def is_done(self) -> bool:
        """Whether the current key alone opens everything here."""
        return self.outdated == self.broken == 0


async def rotate(
    storage: Storage, vault: Vault, models: Iterable[type[Document]], *, is_check: bool = False
) -> list[Rotated]:
    """Re-wrap every value that another key than the first has sealed.

    Args:
        storage: Migrated with `models`.
        vault: Its first key is the one to change to.
        models: Those without sealed fields are passed over.
        is_check: Only count; change nothing.

    Returns:
        One entry for each model with sealed fields.

    Invariants:
        No value changes, only its wrap; `updated_at` stays.
        What a process that still seals under another key writes meanwhile may be left.

    Raises:
        StorageUnavailable: The database is away. Started again, it goes on.
    """
    return [
        await _Rotation(storage.documents(model), vault, model, is_check=is_check).run()
        for model in models
        if model.sealed
    ]


class _Rotation(Generic[D]):
    """The walk over one collection, in the order of its ids."""

    def __init__(
        self, documents: Collection[D], vault: Vault, model: type[D], *, is_check: bool
    ) -> None:
        self._documents = documents
        self._vault = vault
        self._model = model
        self._is_check = is_check
        self._found = Rotated(model.collection)

    async def run(self) -> Rotated:
        last = ""
        while page := await self._documents.page({}, after=(last, last), limit=_PAGE):
            for start in range(0, len(page), _AT_ONCE):
                group = [self._look_at(each) for each in page[start : start + _AT_ONCE]]
                for ended in await asyncio.gather(*group, return_exceptions=True):
                    if ended is not None:
                        raise ended
            last = page[-1].id
        return self._found

    async def _look_at(self, document: D) -> None:
        """Re-wrap what is outdated in one document, looking again when somebody was faster."""
        seen: D | None = document
        for _ in range(_ATTEMPTS):
            if seen is None:
                # Deleted meanwhile: nothing is left to open.
                return
            found = Rotated(self._model.collection)
            changed = self._rewrapped(seen, found)
            try:
                if changed and not self._is_check:
                    await self._documents.replace(changed)
            except VersionConflict:
                seen = await self._documents.get(document.id)
                continue
            self._found.add(found)
            return
        found.outdated += found.rewrapped
        found.rewrapped = 0
        self._found.add(found)

    def _rewrapped(self, document: D, found: Rotated) -> D | None:
        """Return the document with new wraps and count what was found; None if nothing is due."""
        changes: dict[str, str] = {}
        for field in self._model.sealed:
            sealed = getattr(document, field)
            if sealed is None:
                continue
            check(type(sealed) is str, f"{self._model.collection}.{field} is a text or None")
            place = context_of(self._model.collection, document.id, field)
            try:
                if self._vault.is_current(sealed):
                    found.current += 1
                else:
                    changes[field] = self._vault.rewrap(sealed, context=place)
            except SealBroken:
                found.broken += 1
                _log.error("sealed_value_broken", place=place)
        if self._is_check:
            found.outdated += len(changes)
        else:
            found.rewrapped += len(changes)
        return replace(document, **changes) if changes else None
