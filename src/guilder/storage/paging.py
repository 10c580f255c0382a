"""Reading more documents than one page holds."""

from collections.abc import AsyncIterator, Mapping
from typing import TypeVar

from guilder.storage.base import Collection, Document, Range, Scalar

_D = TypeVar("_D", bound=Document)
_PAGE = 500


async def every_document(
    collection: Collection[_D],
    equal: Mapping[str, Scalar],
    *,
    within: Range | None = None,
    after: tuple[Scalar, str] | None = None,
    descending: bool = False,
) -> AsyncIterator[_D]:
    """Yield every document of an index in its order. Arguments as of `Collection.page`.

    It is read page by page, not at one moment: what changes its place meanwhile may be missed or
    come twice.
    """
    ordered_by = "id" if within is None else within.field
    while True:
        page = await collection.page(
            equal, within=within, after=after, descending=descending, limit=_PAGE
        )
        for document in page:
            after = (getattr(document, ordered_by), document.id)
            yield document
        if len(page) < _PAGE:
            return
