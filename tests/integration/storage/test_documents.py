"""Documents on a real database: what is written comes back, and what breaks a rule is refused."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from guilder.kernel.errors import InvalidRequest, InvariantViolation
from guilder.storage import paging
from guilder.storage.base import Collection, Document, Range, Scalar, Storage
from guilder.storage.errors import DuplicateDocument, VersionConflict
from guilder.storage.paging import every_document
from tests.support.models import MORNING, Parcel, Size, minutes, parcel


@pytest.fixture
async def parcels(storage: Storage) -> Collection[Parcel]:
    await storage.migrate([Parcel])
    return storage.documents(Parcel)


async def ids(parcels: Collection[Parcel], equal: dict[str, Scalar], within: Range) -> list[str]:
    return [found.id for found in await parcels.page(equal, within=within)]


async def test_what_is_inserted_comes_back(parcels: Collection[Parcel]) -> None:
    written = parcel(
        label="é€𝄞 \" \\ '; --",
        weight_g=2**63 - 1,
        number=-(2**63),
        is_fragile=True,
        size=Size.LARGE,
        sent_at=MORNING + timedelta(milliseconds=7),
        notes={"a.b$": "$1"},
    )
    await parcels.insert(written)
    assert await parcels.get(written.id) == written


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, -(2**63), 0])
async def test_integers_are_exact(parcels: Collection[Parcel], value: int) -> None:
    written = parcel(weight_g=value)
    await parcels.insert(written)
    assert [found.weight_g for found in await parcels.page({"weight_g": value})] == [value]


async def test_what_is_not_there(parcels: Collection[Parcel]) -> None:
    assert await parcels.get("parcel_none") is None
    assert await parcels.find_one({"label": "none"}) is None
    assert await parcels.get_many([]) == {}
    assert await parcels.page({"weight_g": 7}) == []
    assert await parcels.delete("parcel_none") is False


async def test_get_many_leaves_out_what_is_missing(parcels: Collection[Parcel]) -> None:
    both = [parcel(), parcel()]
    for each in both:
        await parcels.insert(each)
    found = await parcels.get_many([both[1].id, "parcel_none", both[0].id, both[0].id])
    assert found == {each.id: each for each in both}


async def test_delete_tells_whether_there_was_one(parcels: Collection[Parcel]) -> None:
    written = parcel(label="gone")
    await parcels.insert(written)
    assert await parcels.delete(written.id) is True
    assert await parcels.delete(written.id) is False
    await parcels.insert(parcel(label="gone"))


async def test_duplicates_name_their_index(parcels: Collection[Parcel]) -> None:
    first = parcel(label="one", street="Kade", number=1)
    await parcels.insert(first)
    cases = {
        "id": parcel(id=first.id),
        "label": parcel(label="one"),
        "street_number": parcel(street="Kade", number=1),
    }
    for index, duplicate in cases.items():
        with pytest.raises(DuplicateDocument) as caught:
            await parcels.insert(duplicate)
        assert caught.value.index == index


async def test_a_document_without_a_value_is_not_in_the_unique_index(
    parcels: Collection[Parcel],
) -> None:
    await parcels.insert(parcel(label=None, street="Kade", number=None))
    await parcels.insert(parcel(label=None, street="Kade", number=None))


async def test_unique_texts_differ_by_any_character(parcels: Collection[Parcel]) -> None:
    for label in ("a", "A", "a ", "á", "a\u0301"):
        await parcels.insert(parcel(label=label))
        found = await parcels.find_one({"label": label})
        assert found is not None
        assert found.label == label


async def test_sixty_four_at_once_insert_one_label(parcels: Collection[Parcel]) -> None:
    answers = await asyncio.gather(
        *(parcels.insert(parcel(label="same")) for _ in range(64)), return_exceptions=True
    )
    assert answers.count(None) == 1
    assert sum(isinstance(answer, DuplicateDocument) for answer in answers) == 63


async def test_replace_raises_the_version(parcels: Collection[Parcel]) -> None:
    written = parcel(name="old")
    await parcels.insert(written)
    replaced = await parcels.replace(msgspec.structs.replace(written, name="new"))
    assert (replaced.version, replaced.name) == (2, "new")
    assert await parcels.get(written.id) == replaced


async def test_replace_needs_the_latest_version(parcels: Collection[Parcel]) -> None:
    written = parcel()
    await parcels.insert(written)
    await parcels.replace(written)
    with pytest.raises(VersionConflict):
        await parcels.replace(written)
    with pytest.raises(VersionConflict):
        await parcels.replace(parcel())


async def test_replace_cannot_take_anothers_label(parcels: Collection[Parcel]) -> None:
    mine, other = parcel(label="mine"), parcel(label="other")
    await parcels.insert(mine)
    await parcels.insert(other)
    with pytest.raises(DuplicateDocument) as caught:
        await parcels.replace(msgspec.structs.replace(mine, label="other"))
    assert caught.value.index == "label"
    assert await parcels.get(mine.id) == mine


async def test_of_sixty_four_writers_each_version_has_one(parcels: Collection[Parcel]) -> None:
    written = parcel(weight_g=0)
    await parcels.insert(written)

    async def add_one() -> int:
        for conflicts in range(1000):
            seen = await parcels.get(written.id)
            assert seen is not None
            try:
                await parcels.replace(msgspec.structs.replace(seen, weight_g=seen.weight_g + 1))
            except VersionConflict:
                continue
            return conflicts
        pytest.fail("never got its turn")

    conflicts = await asyncio.gather(*(add_one() for _ in range(64)))
    final = await parcels.get(written.id)
    assert final is not None
    assert (final.weight_g, final.version) == (64, 65)
    assert sum(conflicts) > 0


async def test_filters_on_each_type(parcels: Collection[Parcel]) -> None:
    light = parcel(name="b", weight_g=9, sent_at=MORNING)
    heavy = parcel(
        name="a", weight_g=10, is_fragile=True, size=Size.LARGE, sent_at=MORNING + minutes(1)
    )
    for each in (light, heavy):
        await parcels.insert(each)
    cases: list[tuple[dict[str, Scalar], Parcel]] = [
        ({"name": "a"}, heavy),
        ({"weight_g": 9}, light),
        ({"is_fragile": True}, heavy),
        ({"is_fragile": False}, light),
        ({"size": Size.LARGE}, heavy),
        ({"size": "small"}, light),
        ({"sent_at": MORNING.astimezone(timezone(timedelta(hours=5, minutes=30)))}, light),
    ]
    for equal, expected in cases:
        assert await parcels.page(equal) == [expected], equal


async def test_ranges_are_half_open_and_ordered(parcels: Collection[Parcel]) -> None:
    # As texts 9 would come after 10, and 06:31:00 after 06:31:00.500.
    times = [MORNING, MORNING + minutes(1), MORNING + minutes(1) + timedelta(milliseconds=500)]
    written = [
        parcel(id=f"parcel_{index}", weight_g=weight, sent_at=time)
        for index, (weight, time) in enumerate(zip((-1, 9, 10), times, strict=True))
    ]
    for each in reversed(written):
        await parcels.insert(each)
    first, second, third = (each.id for each in written)
    assert await ids(parcels, {}, Range(field="weight_g")) == [first, second, third]
    assert await ids(parcels, {}, Range(field="weight_g", at_least=9)) == [second, third]
    assert await ids(parcels, {}, Range(field="weight_g", below=9)) == [first]
    by_time = Range(field="sent_at", at_least=times[1], below=times[2])
    assert await ids(parcels, {"size": "small"}, by_time) == [second]
    newest = await parcels.page({}, within=Range(field="sent_at"), descending=True, limit=2)
    assert [each.id for each in newest] == [third, second]


async def test_a_document_without_the_field_is_in_no_page_by_it(
    parcels: Collection[Parcel],
) -> None:
    await parcels.insert(parcel(sent_at=None))
    assert await parcels.page({}, within=Range(field="sent_at")) == []
    assert len(await parcels.page({})) == 1


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("by_weight", [False, True])
async def test_pages_have_each_document_once_while_others_are_inserted(
    parcels: Collection[Parcel],
    monkeypatch: pytest.MonkeyPatch,
    *,
    descending: bool,
    by_weight: bool,
) -> None:
    monkeypatch.setattr(paging, "_PAGE", 7)
    # Many share a weight, so that the id has to break ties.
    before = [parcel(weight_g=index % 3, is_fragile=True) for index in range(40)]
    for each in before:
        await parcels.insert(each)
    within = Range(field="weight_g") if by_weight else None
    seen: list[Parcel] = []
    found = every_document(parcels, {"is_fragile": True}, within=within, descending=descending)
    async for each in found:
        seen.append(each)
        if len(seen) % 7 == 0:
            await asyncio.gather(
                *(parcels.insert(parcel(weight_g=n, is_fragile=len(seen) < 60)) for n in range(3))
            )
    seen_ids = [each.id for each in seen]
    assert len(seen_ids) == len(set(seen_ids))
    assert {each.id for each in before} <= set(seen_ids)
    keys = [(each.weight_g if by_weight else 0, each.id) for each in seen]
    assert keys == sorted(keys, reverse=descending)


@pytest.mark.parametrize(
    ("equal", "within"),
    [
        ({"notes": "x"}, None),
        ({"street": "Kade"}, None),
        ({"name": "a", "weight_g": 1}, None),
        ({"size": "small", "is_fragile": True}, None),
        ({}, Range(field="is_sent")),
        ({"name": "a"}, Range(field="weight_g")),
        ({"size": "small"}, Range(field="is_fragile")),
        ({"sent_at": MORNING}, Range(field="size")),
    ],
)
async def test_a_query_that_no_index_serves_is_refused(
    parcels: Collection[Parcel], equal: dict[str, Scalar], within: Range | None
) -> None:
    with pytest.raises(InvariantViolation, match="no declared index"):
        await parcels.page(equal, within=within)


async def test_find_one_needs_all_fields_of_a_unique_index(parcels: Collection[Parcel]) -> None:
    for equal in ({"street": "Kade"}, {"weight_g": 1}, {}, {"label": "a", "street": "b"}):
        with pytest.raises(InvariantViolation, match="no unique index"):
            await parcels.find_one(equal)


async def test_find_one_takes_the_fields_in_any_order(parcels: Collection[Parcel]) -> None:
    written = parcel(street="Kade", number=7)
    await parcels.insert(written)
    assert await parcels.find_one({"number": 7, "street": "Kade"}) == written


async def test_many_are_found_by_their_values(parcels: Collection[Parcel]) -> None:
    written = [parcel(label=label) for label in ("a", "A", "\u00e9", "x'); --", "$ne")]
    for each in [*written, parcel(label=None), parcel(label="another")]:
        await parcels.insert(each)
    wanted = [each.label or "" for each in written]
    missing = [f"none {number}" for number in range(10_000)]
    found = await parcels.find_many("label", [*missing, *wanted, wanted[0], "None", "", "a\x00b"])
    assert found == {each.label: each for each in written}
    assert await parcels.find_many("label", missing) == {}
    assert await parcels.find_many("label", []) == {}


async def test_many_are_found_in_a_transaction(
    storage: Storage, parcels: Collection[Parcel]
) -> None:
    async with storage.transaction() as transaction:
        written = parcel(label="mine")
        inside = transaction.documents(Parcel)
        await inside.insert(written)
        assert await inside.find_many("label", ["mine", "none"]) == {"mine": written}
        assert await parcels.find_many("label", ["mine"]) == {}


@pytest.mark.parametrize("field", ["name", "street", "number", "id", "notes"])
async def test_find_many_needs_a_unique_index_of_that_field_alone(
    parcels: Collection[Parcel], field: str
) -> None:
    with pytest.raises(InvariantViolation, match="no unique index"):
        await parcels.find_many(field, ["a"])


@pytest.mark.parametrize("value", [None, 1, {"$ne": None}, ["a"]])
async def test_find_many_takes_texts_alone(parcels: Collection[Parcel], value: Any) -> None:
    await parcels.insert(parcel(label="a"))
    with pytest.raises(InvariantViolation):
        await parcels.find_many("label", ["a", value])


@pytest.mark.parametrize(
    "equal",
    [
        {"weight_g": True},
        {"weight_g": 1.0},
        {"weight_g": "1"},
        {"weight_g": 2**63},
        {"is_fragile": 1},
        {"name": 1},
        {"sent_at": "2026-11-22T06:30:00.000Z"},
        {"sent_at": datetime(2026, 11, 22)},  # noqa: DTZ001 - the naive time is the point
    ],
)
async def test_a_value_of_another_type_is_refused(
    parcels: Collection[Parcel], equal: dict[str, Scalar]
) -> None:
    with pytest.raises(InvariantViolation):
        await parcels.page(equal)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_page_has_a_bounded_size(parcels: Collection[Parcel], limit: int) -> None:
    with pytest.raises(InvariantViolation):
        await parcels.page({}, limit=limit)


async def test_a_text_with_nul_is_refused_and_never_found(parcels: Collection[Parcel]) -> None:
    with pytest.raises(InvalidRequest):
        await parcels.insert(parcel(name="a\x00b"))
    assert await parcels.page({"name": "a\x00b"}) == []
    assert await parcels.get("a\x00b") is None
    written = parcel(name="\\u0000")
    await parcels.insert(written)
    assert await parcels.get(written.id) == written


async def test_values_are_never_statements(parcels: Collection[Parcel]) -> None:
    evil = "x'); DROP TABLE documents.parcels; --"
    await parcels.insert(parcel(id=evil, name=evil, label=evil))
    assert [found.id for found in await parcels.page({"name": evil})] == [evil]
    assert await parcels.get(evil) is not None


async def test_times_are_kept_to_the_millisecond_in_utc(parcels: Collection[Parcel]) -> None:
    there = timezone(timedelta(hours=-3))
    local = datetime(2026, 1, 1, 0, 0, 0, 123_999, tzinfo=there)
    written = parcel(sent_at=local)
    await parcels.insert(written)
    found = await parcels.get(written.id)
    assert found is not None
    assert found.sent_at == datetime(2026, 1, 1, 3, 0, 0, 123_000, tzinfo=UTC)


async def test_a_field_that_is_new_has_its_default_in_old_documents(new_storage: Storage) -> None:
    class Before(Document, frozen=True, kw_only=True):
        collection = "grown"

    class After(Document, frozen=True, kw_only=True):
        collection = "grown"
        indexes = (("colour",),)

        colour: str = "grey"

    await new_storage.migrate([Before])
    await new_storage.documents(Before).insert(
        Before(id="grown_1", created_at=MORNING, updated_at=MORNING)
    )
    assert await new_storage.migrate([After]) == ["documents.grown__colour__idx"]
    found = await new_storage.documents(After).get("grown_1")
    assert found is not None
    assert found.colour == "grey"
