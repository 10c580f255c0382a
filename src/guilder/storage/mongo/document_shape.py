"""How a model becomes a collection: what its documents look like, its indexes, and its queries.

Fields of one scalar type are kept as BSON's own (text, long, boolean, date), so that indexes
compare them. Every other field is kept as JSON text: whatever keys a user chose, with dots or
dollar signs, never mean anything to the database. Field names come only from a model's class.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic

import msgspec
from bson.int64 import Int64

from guilder.kernel.clock import to_milliseconds
from guilder.kernel.errors import InvalidRequest, check
from guilder.storage.base import D, Range, Scalar
from guilder.storage.indexes import Fields, Indexes, checked_name, checked_scalar, scalar_kinds

Body = dict[str, Any]
Keys = list[tuple[str, int]]

_BSON_TYPES = {str: "string", int: "long", bool: "bool", datetime: "date"}
_OWN = {"id": "_id"}
_TIMES = (datetime,)


class DocumentShape(Generic[D]):
    """The collection of one model.

    Args:
        model: Its `collection`, `unique` and `indexes` are checked here, once.
    """

    def __init__(self, model: type[D]) -> None:
        self.model = model
        self._declared = Indexes(model)
        self.name = self._declared.name
        self._kinds = {
            field.encode_name: _kind_of(field.type) for field in msgspec.structs.fields(model)
        }
        for field in self._kinds:
            checked_name(field)
        declared = len(model.unique) + len(model.indexes)
        check(len(self.indexes()) == declared, f"{self.name}: an index is there twice")

    def body(self, document: D) -> Body:
        """Return a document as it is stored.

        Raises:
            InvalidRequest: A text in it holds a NUL character.
        """
        plain = msgspec.to_builtins(document, builtin_types=_TIMES, str_keys=True)
        if _holds_nul(plain):
            raise InvalidRequest("A text holds a NUL character, which is not stored.")
        return {
            _OWN.get(name, name): _stored(plain[name], kind) for name, kind in self._kinds.items()
        }

    def document(self, body: Body) -> D:
        """Return the document that a stored one is. Fields that it lacks have their defaults."""
        plain: Body = {}
        for name, kind in self._kinds.items():
            key = _OWN.get(name, name)
            if key not in body:
                continue
            value = body[key]
            if kind is None:
                value = msgspec.json.decode(value)
            elif type(value) is Int64:
                value = int(value)
            plain[name] = value
        return msgspec.convert(plain, self.model)

    @property
    def validator(self) -> Body:
        """What every document has: an id and a version that is a long."""
        return {"_id": {"$type": "string"}, "version": {"$type": "long", "$gte": 1}}

    def indexes(self) -> dict[str, tuple[Keys, Body]]:
        """Return the keys and options of each index, by name.

        A unique index leaves out documents in which one of its fields is missing
        or null; the others end with the id, so that pages have one order.
        """
        made: dict[str, tuple[Keys, Body]] = {}
        for fields in self.model.unique:
            present = {_OWN.get(field, field): {"$type": self._type(field)} for field in fields}
            made["__".join((*fields, "key"))] = (
                [(field, 1) for field in present],
                {"unique": True, "partialFilterExpression": present},
            )
        for fields in self.model.indexes:
            keys = dict.fromkeys((*(_OWN.get(field, field) for field in fields), "_id"), 1)
            made["__".join((*fields, "idx"))] = (list(keys.items()), {})
        return made

    def index_of(self, keys: Mapping[str, Any]) -> str:
        """Return the public name of a broken unique index: `id`, or the joined field names."""
        fields = tuple(keys)
        return "id" if fields == ("_id",) else "_".join(fields)

    def find_one(self, equal: Mapping[str, Scalar]) -> Body:
        """Write the look-up of one document. Some unique index must have exactly these fields."""
        self._declared.check_find_one(equal)
        return self._equal(equal)

    def find_many(self, field: str, values: Sequence[str]) -> Body:
        """Write the look-up of many. Some unique index must have exactly this field."""
        self._declared.check_find_many(field, values)
        return {field: {"$in": list(values), "$type": self._type(field)}}

    def page(
        self,
        equal: Mapping[str, Scalar],
        *,
        within: Range | None,
        after: tuple[Scalar, str] | None,
        descending: bool,
        limit: int,
    ) -> tuple[Body, Keys]:
        """Write the query for a page and its order. Some declared index must serve both."""
        serving = self._declared.check_page(equal, within, limit)
        query = self._equal(equal)
        way, beyond = (-1, "$lt") if descending else (1, "$gt")
        if within is None or within.field == "id":
            keys: Keys = [("_id", way)]
            if within is not None:
                query["_id"] = self._bounds(within)
            if after is not None:
                query = {"$and": [query, {"_id": {beyond: after[1]}}]}
            return query, keys
        field = within.field
        bounds = self._bounds(within)
        keys = [(field, way), ("_id", way)] if self._ends_with_id(serving) else [(field, way)]
        if after is None:
            return {**query, field: bounds}, keys
        last = self._value(field, after[0])
        # Two ranges of the index, merged in its order.
        return {
            "$or": [
                {"$and": [{**query, field: bounds}, {field: last, "_id": {beyond: after[1]}}]},
                {"$and": [{**query, field: bounds}, {field: {beyond: last}}]},
            ]
        }, keys

    def _ends_with_id(self, fields: Fields) -> bool:
        return fields in self.model.indexes

    def _bounds(self, within: Range) -> Body:
        """Write the bounds. A document without the field has no place in an order by it."""
        bounds: Body = {"$type": self._type(within.field)}
        if within.at_least is not None:
            bounds["$gte"] = self._value(within.field, within.at_least)
        if within.below is not None:
            bounds["$lt"] = self._value(within.field, within.below)
        return bounds

    def _equal(self, equal: Mapping[str, Scalar]) -> Body:
        """Write one condition for each field. With its type, as the unique indexes have it."""
        return {
            _OWN.get(field, field): {
                "$eq": self._value(field, value),
                "$type": self._type(field),
            }
            for field, value in equal.items()
        }

    def _type(self, field: str) -> str:
        return _BSON_TYPES[self._declared.kinds[field]]

    def _value(self, field: str, value: Scalar) -> object:
        """Return a value as BSON compares it."""
        return _bson(checked_scalar(value, self._declared.kinds[field]))


def _kind_of(hint: Any) -> type | None:  # noqa: ANN401 - a type hint
    """Return the one scalar type of a field; None for what is kept as JSON."""
    kinds = scalar_kinds(hint)
    return kinds.pop() if len(kinds) == 1 else None


def _stored(value: Any, kind: type | None) -> object:  # noqa: ANN401 - any JSON value
    """Return a field's value as it is stored."""
    if kind is None:
        return msgspec.json.encode(_with_times(value)).decode()
    return value if value is None else _bson(value)


def _bson(value: Scalar) -> object:
    """Return a scalar as BSON keeps it: integers as longs, times in UTC to the millisecond."""
    if isinstance(value, int) and type(value) is not bool:
        checked_scalar(value, int)
        return Int64(value)
    if isinstance(value, datetime):
        check(value.tzinfo is not None, "a stored time is aware")
        return to_milliseconds(value.astimezone(UTC))
    return value


def _with_times(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Cut every time in a tree of values to the millisecond."""
    if isinstance(value, datetime):
        return _bson(value)
    if isinstance(value, dict):
        return {key: _with_times(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_times(item) for item in value]
    return value


def _holds_nul(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Tell whether a text in a tree of values holds a NUL character."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return any(map(_holds_nul, value))
    return False
