"""How a model becomes a table: names, index expressions, statements and the check of every query.

Identifiers come only from a model's class attributes and pass one regular expression; values are
always parameters. This is the only module that puts SQL together from pieces.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from guilder.kernel.clock import to_milliseconds
from guilder.kernel.errors import check
from guilder.storage.base import Document, Range, Scalar
from guilder.storage.indexes import Fields, Indexes, checked_scalar

SCHEMA = "documents"

_LONGEST_IDENTIFIER = 63


def to_text(time: datetime) -> str:
    """Write a time so that the order of texts is the order of times: UTC, milliseconds, `Z`.

    Invariants:
        24 characters. The time is aware: a naive one would be read as local time.
    """
    check(time.tzinfo is not None, "a stored time is aware")
    whole = to_milliseconds(time.astimezone(UTC))
    return whole.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(document: Document) -> str:
    """Write a document as JSON, every time in the form of `to_text`."""
    plain = msgspec.to_builtins(document, builtin_types=(datetime,), str_keys=True)
    return msgspec.json.encode(_with_times(plain)).decode()


def _with_times(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Replace the times in a tree of builtin values."""
    if isinstance(value, datetime):
        return to_text(value)
    if isinstance(value, dict):
        return {key: _with_times(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_times(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class _Column:
    """An indexed field: its expression in SQL, and the Python type of its values."""

    expression: str
    kind: type

    def parameter(self, value: Scalar) -> str | int | bool:
        """Return `value` as a parameter. asyncpg would cut 1.5 to 1 and take True for 1."""
        plain = checked_scalar(value, self.kind)
        return to_text(plain) if isinstance(plain, datetime) else plain


_CASTS = {
    str: '({body}) COLLATE "C"',
    datetime: '({body}) COLLATE "C"',
    int: "(({body})::bigint)",
    bool: "(({body})::boolean)",
}


@dataclass(frozen=True, slots=True)
class Query:
    """A statement and its parameters."""

    sql: str
    parameters: tuple[object, ...]


class DocumentTable:  # sql: ours, names that a model declares
    """The table of one model.

    Args:
        model: Its `collection`, `unique` and `indexes` are checked here, once.
    """

    def __init__(self, model: type[Document]) -> None:
        self.model = model
        self._declared = Indexes(model)
        self.name = self._declared.name
        self.unique = model.unique
        self.indexes = model.indexes
        self._columns = {
            field: _column(field, kind) for field, kind in self._declared.kinds.items()
        }
        self._id = _Column("id", str)
        self._index_names = {index_name(self.name, fields, "key"): fields for fields in self.unique}
        declared = len(model.unique) + len(model.indexes)
        check(len(self.create_indexes()) == declared, f"{self.name}: an index is there twice")
        self._write_statements()

    def _write_statements(self) -> None:
        """Write the statements that do not depend on a query."""
        table = f"{SCHEMA}.{self.name}"
        self.insert = f"INSERT INTO {table} (id, version, body) VALUES ($1, $2, $3)"
        self.get = f"SELECT body FROM {table} WHERE id = $1"
        self.get_many = f"SELECT body FROM {table} WHERE id = ANY($1::text[])"
        self.replace = (
            f"UPDATE {table} SET version = version + 1, body = $3 WHERE id = $1 AND version = $2"
        )
        self.delete = f"DELETE FROM {table} WHERE id = $1"
        self._select = f"SELECT body FROM {table} WHERE "

    @property
    def create_table(self) -> str:
        """The statement that makes the table."""
        return (
            f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{self.name} ("
            'id text COLLATE "C" PRIMARY KEY, '
            "version bigint NOT NULL CHECK (version >= 1), "
            "body jsonb NOT NULL)"
        )

    def create_indexes(self) -> dict[str, str]:
        """Return the statements that make the indexes, by index name."""
        return {
            index_name(self.name, fields, "key" if is_unique else "idx"): self._create_index(
                fields, is_unique=is_unique
            )
            for is_unique, group in ((True, self.unique), (False, self.indexes))
            for fields in group
        }

    def _create_index(self, fields: Fields, *, is_unique: bool) -> str:
        """Write one index. PostgreSQL holds NULLs distinct, so None is never a duplicate."""
        parts = [self._columns[field].expression for field in fields]
        kind = "UNIQUE INDEX" if is_unique else "INDEX"
        name = index_name(self.name, fields, "key" if is_unique else "idx")
        columns = ", ".join(parts if is_unique else [*parts, "id"])
        return f"CREATE {kind} IF NOT EXISTS {name} ON {SCHEMA}.{self.name} ({columns})"

    def index_of(self, constraint: str | None) -> str:
        """Return the public name of a broken unique index: `id`, or the joined field names."""
        fields = self._index_names.get(constraint or "")
        return "id" if fields is None else "_".join(fields)

    def find_one(self, equal: Mapping[str, Scalar]) -> Query:
        """Write the look-up of one document. Some unique index must have exactly these fields."""
        self._declared.check_find_one(equal)
        conditions: list[str] = []
        parameters: list[object] = []
        self._add_equal(equal, conditions, parameters)
        return Query(self._select + " AND ".join(conditions), tuple(parameters))

    def find_many(self, field: str, values: Sequence[str]) -> Query:
        """Write the look-up of many. Some unique index must have exactly this field."""
        self._declared.check_find_many(field, values)
        # One value that the database cannot even be asked for must not hide the others.
        stored = [value for value in values if "\0" not in value]
        sql = f"{self._select}{self._columns[field].expression} = ANY($1::text[])"
        return Query(sql, (stored,))

    def page(
        self,
        equal: Mapping[str, Scalar],
        *,
        within: Range | None,
        after: tuple[Scalar, str] | None,
        descending: bool,
        limit: int,
    ) -> Query:
        """Write the query for a page. Some declared index must serve filter and order."""
        self._declared.check_page(equal, within, limit)
        conditions: list[str] = ["true"]
        parameters: list[object] = []
        self._add_equal(equal, conditions, parameters)
        order = self._id if within is None else self._columns[within.field]
        if within is not None:
            _add_range(order, within, conditions, parameters)
        keys = ["id"] if within is None else [order.expression, "id"]
        if after is not None:
            values = after[1:] if within is None else (order.parameter(after[0]), after[1])
            marks = [_add(parameters, value) for value in values]
            sign = "<" if descending else ">"
            conditions.append(f"({', '.join(keys)}) {sign} ({', '.join(marks)})")
        direction = " DESC" if descending else ""
        sql = (
            f"{self._select}{' AND '.join(conditions)} "
            f"ORDER BY {', '.join(key + direction for key in keys)} "
            f"LIMIT {_add(parameters, limit)}"
        )
        return Query(sql, tuple(parameters))

    def _add_equal(
        self, equal: Mapping[str, Scalar], conditions: list[str], parameters: list[object]
    ) -> None:
        """Add one condition for each field that is given."""
        for field, value in equal.items():
            column = self._columns[field]
            mark = _add(parameters, column.parameter(value))
            conditions.append(f"{column.expression} = {mark}")


def _add_range(
    column: _Column, within: Range, conditions: list[str], parameters: list[object]
) -> None:
    """Add the bounds. A document without the field has no place in an order by it."""
    conditions.append(f"{column.expression} IS NOT NULL")
    if within.at_least is not None:
        mark = _add(parameters, column.parameter(within.at_least))
        conditions.append(f"{column.expression} >= {mark}")
    if within.below is not None:
        mark = _add(parameters, column.parameter(within.below))
        conditions.append(f"{column.expression} < {mark}")


def _add(parameters: list[object], value: object) -> str:
    """Add a parameter and return its mark."""
    parameters.append(value)
    return f"${len(parameters)}"


def index_name(table: str, fields: Sequence[str], suffix: str) -> str:
    """Return the name of an index: from its fields alone, so that it never changes.

    Two underscores join, so ("a_b", "c") and ("a", "b_c") differ.
    """
    name = "__".join((table, *fields, suffix))
    check(len(name) <= _LONGEST_IDENTIFIER, f"the index name {name} is too long for PostgreSQL")
    return name


def _column(field: str, kind: type) -> _Column:
    """Return how an indexed field is written in SQL."""
    if field == "id":
        return _Column("id", str)
    return _Column(_CASTS[kind].format(body=f"body->>'{field}'"), kind)
