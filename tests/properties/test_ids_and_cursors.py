"""Laws of what a caller sends back to us: ids and cursors come back whole, or are refused."""

import base64
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guilder.kernel.errors import GuilderError, Malformed, NotFound
from guilder.kernel.ids import decode_id, derived_uuid, encode_id
from guilder.kernel.pages import CursorMismatch, Filters, decode_cursor, encode_cursor

prefixes = st.from_regex(r"[a-z]([a-z_]{0,20}[a-z])?", fullmatch=True)
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)
times = st.datetimes(timezones=st.just(UTC))
int64 = st.integers(-(2**63), 2**63 - 1)
filters = st.dictionaries(texts, texts | int64 | times | st.none(), max_size=4)
# No part has a lone surrogate: neither of our JSON decoders lets one through.
parts = st.lists(texts | st.binary(max_size=8), max_size=4)


@given(prefix=prefixes, uuid=st.uuids())
def test_an_id_comes_back(prefix: str, uuid: UUID) -> None:
    assert decode_id(prefix, encode_id(prefix, uuid)) == uuid


@given(prefix=prefixes, one=st.uuids(), other=st.uuids())
def test_ids_sort_like_the_uuids_inside(prefix: str, one: UUID, other: UUID) -> None:
    assert (encode_id(prefix, one) < encode_id(prefix, other)) is (one < other)


@given(prefix=prefixes, other=prefixes, uuid=st.uuids())
def test_an_id_is_not_read_under_another_prefix(prefix: str, other: str, uuid: UUID) -> None:
    if prefix != other:
        with pytest.raises(NotFound):
            decode_id(other, encode_id(prefix, uuid))


@given(text=st.text() | st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=26, max_size=26))
def test_any_text_is_the_one_spelling_of_an_id_or_not_found(text: str) -> None:
    for candidate in (text, f"user_{text}"):
        try:
            uuid = decode_id("user", candidate)
        except NotFound:
            continue
        assert encode_id("user", uuid) == candidate


@given(one=parts, other=parts)
def test_only_equal_parts_have_an_equal_id(
    one: list[str | bytes], other: list[str | bytes]
) -> None:
    def raw(of: list[str | bytes]) -> list[bytes]:
        return [part.encode() if isinstance(part, str) else part for part in of]

    assert (derived_uuid(*one) == derived_uuid(*other)) is (raw(one) == raw(other))


@given(whole=st.binary(min_size=1, max_size=20), cuts=st.tuples(int64, int64))
def test_the_bounds_between_parts_count(whole: bytes, cuts: tuple[int, int]) -> None:
    first, second = (cut % (len(whole) + 1) for cut in cuts)

    same = derived_uuid(whole[:first], whole[first:]) == derived_uuid(
        whole[:second], whole[second:]
    )

    assert same is (first == second)


@given(place=st.tuples(int64, texts, times), wanted=filters)
def test_a_cursor_comes_back(place: tuple[int, str, datetime], wanted: Filters) -> None:
    cursor = encode_cursor(place, wanted)

    assert decode_cursor(cursor, wanted, place=tuple[int, str, datetime]) == place


@given(wanted=filters, other=filters)
def test_a_cursor_belongs_to_its_filters(wanted: Filters, other: Filters) -> None:
    cursor = encode_cursor((1,), wanted)
    same = {k: v for k, v in wanted.items() if v is not None} == {
        k: v for k, v in other.items() if v is not None
    }

    if same:
        assert decode_cursor(cursor, other, place=tuple[int]) == (1,)
    else:
        with pytest.raises(CursorMismatch):
            decode_cursor(cursor, other, place=tuple[int])


@given(text=st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
@example("kg")
@example("\ud800")
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    with suppress(Malformed, CursorMismatch):
        decode_cursor(text, {"list": "x"}, place=tuple[int, str])


@given(data=st.data(), change=st.binary(min_size=1, max_size=3))
def test_a_tampered_cursor_is_storable_or_refused(data: st.DataObject, change: bytes) -> None:
    raw = bytearray(base64.urlsafe_b64decode(encode_cursor((1, "abc"), {}) + "=="))
    at = data.draw(st.integers(0, len(raw)))
    raw[at : at + len(change)] = change

    try:
        position, text = decode_cursor(
            base64.urlsafe_b64encode(raw).decode(), {}, place=tuple[int, str]
        )
    except GuilderError:
        return
    assert type(position) is int
    assert -(2**63) <= position < 2**63
    assert type(text) is str
    assert "\x00" not in text
