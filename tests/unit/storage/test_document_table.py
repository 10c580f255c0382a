"""How a model becomes a table, and which models and queries are refused before any SQL is sent."""

from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum, StrEnum
from typing import Annotated, Literal, NewType

import msgspec
import pytest

from guilder.kernel.errors import InvariantViolation
from guilder.storage.base import Document, Range
from guilder.storage.postgres.document_table import DocumentTable, encode, index_name, to_text
from tests.support.models import MORNING, Parcel, parcel

UserId = NewType("UserId", str)


class Colour(StrEnum):
    """Texts by name."""

    RED = "red"


class Rank(IntEnum):
    """Numbers by name."""

    FIRST = 1


class Typed(Document, frozen=True, kw_only=True):
    """A field of every way to say the four types."""

    collection = "typed"
    indexes = (
        ("user_id",),
        ("colour",),
        ("rank",),
        ("size",),
        ("status",),
        ("is_new",),
        ("at",),
        ("count",),
        ("id",),
    )

    user_id: UserId
    colour: Colour
    rank: Rank
    size: Annotated[int, msgspec.Meta(ge=0)]
    status: Literal["a", "b"]
    is_new: bool | None
    at: datetime | None
    count: int | None


def page_sql(table: DocumentTable, **equal: str | int | bool | datetime) -> tuple[str, object]:
    query = table.page(equal, within=None, after=None, descending=False, limit=1)
    return query.sql, query.parameters[0]


@pytest.mark.parametrize(
    ("field", "value", "expression", "parameter"),
    [
        ("user_id", UserId("u"), "(body->>'user_id') COLLATE \"C\"", "u"),
        ("colour", Colour.RED, "(body->>'colour') COLLATE \"C\"", "red"),
        ("rank", Rank.FIRST, "((body->>'rank')::bigint)", 1),
        ("size", 3, "((body->>'size')::bigint)", 3),
        ("status", "a", "(body->>'status') COLLATE \"C\"", "a"),
        ("is_new", True, "((body->>'is_new')::boolean)", True),
        ("at", MORNING, "(body->>'at') COLLATE \"C\"", "2026-11-22T06:30:00.000Z"),
        ("count", -1, "((body->>'count')::bigint)", -1),
        ("id", "x", "id", "x"),
    ],
)
def test_each_type_has_its_expression(
    field: str, value: str | int | bool | datetime, expression: str, parameter: object
) -> None:
    sql, found = page_sql(DocumentTable(Typed), **{field: value})
    assert f"{expression} = $1" in sql
    assert found == parameter
    assert type(found) is type(parameter)


def test_index_names_come_from_the_fields() -> None:
    assert list(DocumentTable(Parcel).create_indexes())[:3] == [
        "parcels__label__key",
        "parcels__street__number__key",
        "parcels__weight_g__idx",
    ]
    assert index_name("t", ("a_b", "c"), "idx") != index_name("t", ("a", "b_c"), "idx")


def test_id_ends_every_index_but_the_unique_ones() -> None:
    statements = DocumentTable(Parcel).create_indexes()
    assert statements["parcels__name__idx"].endswith("((body->>'name') COLLATE \"C\", id)")
    assert statements["parcels__label__key"].endswith("((body->>'label') COLLATE \"C\")")


def test_the_name_of_a_broken_index() -> None:
    table = DocumentTable(Parcel)
    assert table.index_of("parcels__street__number__key") == "street_number"
    assert table.index_of("parcels_pkey") == "id"
    assert table.index_of(None) == "id"


@pytest.mark.parametrize(
    "attributes",
    [
        {"collection": "Parcels"},
        {"collection": "p; drop table x"},
        {"collection": "p" * 41},
        {"collection": "1p"},
        {"collection": ""},
        {"unique": (("missing",),)},
        {"indexes": (("missing",),)},
        {"indexes": (("notes",),)},
        {"unique": (("label",), ("label",))},
        {"indexes": (("label",) * 12,)},
    ],
)
def test_a_model_that_cannot_be_a_table_is_refused(attributes: dict[str, object]) -> None:
    with pytest.raises(InvariantViolation):
        DocumentTable(type("Wrong", (Parcel,), attributes))


@pytest.mark.parametrize("hint", [float, bytes, int | str, list[str], Literal[1, "a"]])
def test_a_type_that_cannot_be_compared_is_refused(hint: object) -> None:
    fields = {
        "collection": "wrong",
        "indexes": (("value",),),
        "__annotations__": {"value": hint},
        "__module__": __name__,
    }
    with pytest.raises(InvariantViolation):
        DocumentTable(type("Wrong", (Document,), fields))


def test_times_are_texts_of_one_width_in_their_own_order() -> None:
    times = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 1, 1, 5, 29, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 0, 0, 1000, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ]
    texts = [to_text(time) for time in times]
    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {24}
    assert texts[2] == "2025-12-31T23:59:00.000Z"


def test_a_naive_time_is_refused_wherever_it_is() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the point of the test
    with pytest.raises(InvariantViolation):
        encode(parcel(sent_at=naive))
    with pytest.raises(InvariantViolation):
        DocumentTable(Parcel).page(
            {}, within=Range(field="sent_at", below=naive), after=None, descending=False, limit=1
        )


def test_nested_values_are_encoded_with_their_times() -> None:
    class Step(msgspec.Struct):
        at: datetime
        tags: tuple[str, ...]

    class Trip(Document, frozen=True, kw_only=True):
        collection = "trips"
        steps: list[Step]
        by_name: dict[str, datetime]

    trip = Trip(
        id="t",
        created_at=MORNING,
        updated_at=MORNING,
        steps=[Step(MORNING, ("a",))],
        by_name={"x": MORNING},
    )
    text = encode(trip)
    assert text.count('"2026-11-22T06:30:00.000Z"') == 4
    assert msgspec.json.decode(text, type=Trip) == trip
