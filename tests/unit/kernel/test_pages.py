"""Cursors and pages, by tables; that the decoder is total is in tests/properties."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from guilder.kernel.errors import Kind, Malformed
from guilder.kernel.pages import (
    CursorMismatch,
    Filters,
    Page,
    decode_cursor,
    encode_cursor,
    page_of,
)

NOON = datetime(2026, 1, 2, 12, 0, 0, 345000, tzinfo=UTC)
FILTERS: Filters = {"list": "transactions", "type": "debit", "amount[gte]": 5, "created[gte]": NOON}


def forged(value: object, filters: Filters = FILTERS) -> str:
    """Return a cursor with our filters and any place at all."""
    real = base64.urlsafe_b64decode(encode_cursor((1,), filters) + "==")
    return base64.urlsafe_b64encode(real[:-2] + msgspec.msgpack.encode(value)).decode().rstrip("=")


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ((1,), tuple[int]),
        ((2**63 - 1,), tuple[int]),
        ((-(2**63),), tuple[int]),
        ((NOON, "payment_01"), tuple[datetime, str]),
        (("ångström", 0), tuple[str, int]),
    ],
)
def test_a_place_comes_back(value: tuple[Any, ...], shape: type[tuple[Any, ...]]) -> None:
    cursor = encode_cursor(value, FILTERS)

    assert decode_cursor(cursor, FILTERS, place=shape) == value
    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_the_helper_forges_what_it_says() -> None:
    assert decode_cursor(forged([7]), FILTERS, place=tuple[int]) == (7,)


def test_the_order_of_filters_and_absent_ones_do_not_matter() -> None:
    cursor = encode_cursor((1,), {"a": 1, "b": "x", "c": None})

    assert decode_cursor(cursor, {"b": "x", "a": 1}, place=tuple[int]) == (1,)


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"a": "1"},
        {"a": 2},
        {"b": 1},
        {"a": 1, "b": 1},
    ],
)
def test_a_cursor_with_other_filters_is_refused(filters: Filters) -> None:
    cursor = encode_cursor((1,), {"a": 1})

    with pytest.raises(CursorMismatch) as caught:
        decode_cursor(cursor, filters, place=tuple[int])
    assert caught.value.code == "cursor_mismatch"
    assert caught.value.kind is Kind.MALFORMED


def test_a_cursor_of_another_list_is_a_mismatch_even_if_its_shape_differs() -> None:
    cursor = encode_cursor((NOON, "x"), {"list": "payments"})

    with pytest.raises(CursorMismatch):
        decode_cursor(cursor, {"list": "transactions"}, place=tuple[int])


@pytest.mark.parametrize(
    "text",
    ["", "a", "=", "====", "not a cursor", "ÿ", "\ud800", "\x00", "AAAA", "gA", "A" * 1_000_000],
)
def test_what_is_no_cursor_is_malformed(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode_cursor(text, FILTERS, place=tuple[int])
    assert caught.value.code == "malformed"


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ([True], tuple[int]),
        ([1.0], tuple[int]),
        (["1"], tuple[int]),
        ([None], tuple[int]),
        ([], tuple[int]),
        ([1, 2], tuple[int]),
        ({"a": 1}, tuple[int]),
        (1, tuple[int]),
        ([2**63], tuple[int]),
        (["a\x00b"], tuple[str]),
        ([b"raw"], tuple[str]),
        (["2026-01-02T12:00:00"], tuple[datetime]),
        (["2026-01-02T12:00:00+02:00"], tuple[datetime]),
        (["yesterday"], tuple[datetime]),
    ],
)
def test_a_forged_place_never_reaches_storage(
    value: object, shape: type[tuple[object, ...]]
) -> None:
    with pytest.raises(Malformed):
        decode_cursor(forged(value), FILTERS, place=shape)


def test_a_deeply_nested_cursor_is_malformed() -> None:
    cursor = base64.urlsafe_b64encode(b"\x91" * 765).decode()

    with pytest.raises(Malformed):
        decode_cursor(cursor, FILTERS, place=tuple[int])


def test_a_deeply_nested_place_is_malformed_on_a_deep_stack_too() -> None:
    nested = base64.urlsafe_b64decode(encode_cursor((), {}))[:-1] + b"\x91" * 700 + b"\x01"
    cursor = base64.urlsafe_b64encode(nested).decode()

    def below(frames: int) -> None:
        if frames:
            below(frames - 1)
        else:
            decode_cursor(cursor, {}, place=tuple[int])

    with pytest.raises(Malformed) as caught:
        below(600)
    assert isinstance(caught.value.__cause__, RecursionError)


def test_another_zone_is_written_as_utc() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=2)))

    cursor = encode_cursor((there,), FILTERS)

    assert decode_cursor(cursor, FILTERS, place=tuple[datetime]) == (NOON,)


@pytest.mark.parametrize(
    ("rows", "page"),
    [
        ([], Page[int](data=[], has_more=False, next_cursor=None)),
        ([1], Page(data=[1], has_more=False, next_cursor=None)),
        ([1, 2], Page(data=[1, 2], has_more=False, next_cursor=None)),
        ([1, 2, 3], Page(data=[1, 2], has_more=True, next_cursor="after 2")),
    ],
)
def test_the_row_too_many_says_that_there_are_more(rows: list[int], page: Page[int]) -> None:
    assert page_of(rows, limit=2, cursor=lambda row: f"after {row}") == page


def test_a_page_has_the_shape_of_the_wire() -> None:
    page = Page(data=[1], has_more=True, next_cursor="x")

    assert msgspec.json.encode(page) == b'{"data":[1],"has_more":true,"next_cursor":"x"}'
