"""What a model's declared indexes allow, the same for every engine: names, types and queries.

A query that no index serves would read the whole collection, so it is refused.
"""

import re
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Literal

from guilder.kernel.errors import InvariantViolation, check
from guilder.storage.base import Document, Range, Scalar

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
INT64_MAX = 2**63 - 1
_LONGEST_PAGE = 1000

Fields = tuple[str, ...]


class Indexes:
    """The indexes of one model, checked.

    Args:
        model: Its `collection`, `unique` and `indexes` are looked at here, once.

    Attributes:
        kinds: By indexed field, the type of its values: str, int, bool or datetime.
    """

    def __init__(self, model: type[Document]) -> None:
        self.name = checked_name(model.collection)
        self.unique = model.unique
        self.indexes = model.indexes
        hints = typing.get_type_hints(model)
        self.kinds = {
            field: _indexed_kind(field, hints)
            for field in sorted(
                {field for fields in (*self.unique, *self.indexes) for field in fields}
            )
        }

    def check_find_one(self, equal: Mapping[str, Scalar]) -> None:
        """Refuse the look-up of one document unless a unique index has exactly these fields."""
        served = any(set(fields) == set(equal) for fields in self.unique)
        check(served, f"{self.name}: no unique index has exactly the fields {sorted(equal)}")

    def check_find_many(self, field: str, values: Sequence[str]) -> None:
        """Refuse the look-up of many unless a unique index has that field alone, of text."""
        self.check_find_one({field: ""})
        check(self.kinds[field] is str, f"{self.name}: {field} is no text")
        for value in values:
            checked_scalar(value, str)

    def check_page(self, equal: Mapping[str, Scalar], within: Range | None, limit: int) -> Fields:
        """Refuse a page that would have to sort or to read the whole collection.

        Returns:
            The fields of the index that serves it; none if the ids alone do.
        """
        check(1 <= limit <= _LONGEST_PAGE, f"a page has 1 to {_LONGEST_PAGE} documents")
        rest = () if within is None else (within.field,)
        serving: list[Fields] = [
            fields
            for fields in ((), *self.indexes, *self.unique)
            if set(fields[: len(equal)]) == set(equal) and fields[len(equal) :] == rest
        ]
        wanted = [*sorted(equal), *rest]
        check(serving, f"{self.name}: no declared index serves a page by {wanted}")
        return serving[0]


def checked_name(name: str) -> str:
    """Return a name that is safe as an identifier."""
    check(_NAME.fullmatch(name), f"{name!r} is no name for a collection or a field")
    return name


def checked_scalar(value: Scalar, kind: type) -> Scalar:
    """Return `value` as plain str, int, bool or datetime.

    Drivers would cut 1.5 to 1, take True for 1, and read a naive time as local.
    """
    if isinstance(value, Enum):
        value = value.value
    check(type(value) is kind, f"{value!r} is not a {kind.__name__}")
    if isinstance(value, datetime):
        check(value.tzinfo is not None, "a stored time is aware")
    if type(value) is int:
        check(-INT64_MAX - 1 <= value <= INT64_MAX, "an integer is within int64")
    return value


def _indexed_kind(field: str, hints: Mapping[str, Any]) -> type:
    """Return the type of an indexed field's values."""
    check(field in hints, f"{field} is indexed, but the model does not have it")
    hint = hints[field]
    kinds = scalar_kinds(hint)
    check(len(kinds) == 1, f"an indexed field has one type, not {hint}")
    kind = kinds.pop()
    if kind is None:
        raise InvariantViolation(f"a field of type {hint} cannot be indexed")
    if field != "id":
        checked_name(field)
    return kind


def scalar_kinds(hint: Any) -> set[type | None]:  # noqa: ANN401 - a type hint
    """Return which of str, int, bool and datetime a field's values are; None stands for any other.

    That a value may be None is left out.
    """
    if isinstance(hint, typing.NewType):
        return scalar_kinds(hint.__supertype__)
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return scalar_kinds(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        return set().union(*map(scalar_kinds, parts))
    if origin is Literal:
        return set().union(*(scalar_kinds(type(value)) for value in typing.get_args(hint)))
    for kind in (bool, int, str, datetime):
        if isinstance(hint, type) and issubclass(hint, kind):
            return {kind}
    return {None}
