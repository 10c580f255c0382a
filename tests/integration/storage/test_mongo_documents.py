"""Documents on MongoDB: how they are kept, what serves them, and writers in each other's way."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from bson.int64 import Int64

from guilder.kernel.errors import InvariantViolation
from guilder.storage.base import Collection, Range
from guilder.storage.errors import DuplicateDocument, StorageUnavailable, VersionConflict
from guilder.storage.mongo import documents as documents_module
from guilder.storage.mongo.document_shape import DocumentShape
from guilder.storage.mongo.storage import MongoStorage
from tests.support.models import MORNING, Parcel, parcel


@pytest.fixture
async def parcels(mongodb_storage: MongoStorage) -> Collection[Parcel]:
    await mongodb_storage.migrate([Parcel])
    return mongodb_storage.documents(Parcel)


NOTES = {
    "$where": "1",
    "a.b": "$x",
    "": "empty",
    "$ref": "r",
    "$id": "i",
    "_id": "x",
    "\u20ac": "e",
}


async def test_no_key_of_a_user_means_anything_to_the_database(
    mongodb_storage: MongoStorage, parcels: Collection[Parcel]
) -> None:
    written = parcel(notes=NOTES, weight_g=1, name="$gt")
    await parcels.insert(written)
    assert await parcels.get(written.id) == written
    assert await parcels.page({"name": "$gt"}) == [written]
    kept = await mongodb_storage.engine.database["documents.parcels"].find_one({"_id": written.id})
    assert kept is not None
    assert msgspec.json.decode(kept["notes"]) == NOTES
    assert (type(kept["weight_g"]), type(kept["version"])) == (Int64, Int64)


@pytest.mark.parametrize("evil", [{"$ne": None}, {"$gt": ""}, ["a"], None])
async def test_a_condition_is_never_a_value(parcels: Collection[Parcel], evil: Any) -> None:
    await parcels.insert(parcel(name="a", label="l"))
    with pytest.raises(InvariantViolation):
        await parcels.page({"name": evil})
    with pytest.raises(InvariantViolation):
        await parcels.find_one({"label": evil})


def _stages(plan: Any) -> set[str]:
    """Return the names of all stages of a query plan."""
    if isinstance(plan, dict):
        inner = set().union(*map(_stages, plan.values())) if plan else set()
        return inner | ({plan["stage"]} if "stage" in plan else set())
    return set().union(*map(_stages, plan)) if isinstance(plan, list) and plan else set()


async def test_the_declared_indexes_serve_filter_and_order(
    mongodb_storage: MongoStorage, parcels: Collection[Parcel]
) -> None:
    """No sort and no scan of the whole collection, for every page and look-up that is allowed."""
    for number in range(50):
        await parcels.insert(parcel(weight_g=number % 5, sent_at=MORNING, label=str(number)))
    shape = DocumentShape(Parcel)
    page = {"after": None, "descending": True, "limit": 25}
    by_time = Range(field="sent_at", at_least=MORNING)
    queries = [
        (shape.find_one({"street": "Kade", "number": 1}), None),
        (shape.find_one({"label": "a"}), None),
        (shape.find_many("label", ["a", "b"]), None),
        shape.page({}, within=None, **page),  # type: ignore[arg-type]
        shape.page({"name": "a"}, within=None, **page),  # type: ignore[arg-type]
        shape.page({"size": "small"}, within=Range(field="sent_at"), **page),  # type: ignore[arg-type]
        shape.page({"is_fragile": True}, within=Range(field="weight_g"), **page),  # type: ignore[arg-type]
        shape.page(
            {"size": "small"}, within=by_time, after=(MORNING, "p"), descending=False, limit=25
        ),
        shape.page({}, within=by_time, after=(MORNING, "p"), descending=True, limit=25),
        shape.page({"name": "a"}, within=None, after=("p", "p"), descending=True, limit=25),
    ]
    collection = mongodb_storage.engine.database["documents.parcels"]
    for query, order in queries:
        plan = await collection.find(query, sort=order).limit(25).explain()
        stages = _stages(plan["queryPlanner"]["winningPlan"])
        assert "IXSCAN" in stages or "IDHACK" in stages, (query, stages)
        assert not stages & {"COLLSCAN", "SORT"}, (query, stages)


async def test_a_writer_in_the_way_is_waited_for(
    mongodb_storage: MongoStorage, parcels: Collection[Parcel]
) -> None:
    """Two transactions write different things and one same document: both get their turn."""
    shared, other = parcel(), parcel()
    await parcels.insert(shared)

    async def second() -> None:
        async with mongodb_storage.transaction() as transaction:
            inside = transaction.documents(Parcel)
            await inside.insert(other)
            await inside.delete(shared.id)

    async with mongodb_storage.transaction() as transaction:
        inside = transaction.documents(Parcel)
        await inside.replace(shared)
        task = asyncio.create_task(second())
        runs_again = asyncio.Event()
        repeat = documents_module.TransactionRunner._repeat

        async def noted(self: Any) -> None:
            runs_again.set()
            await repeat(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(documents_module.TransactionRunner, "_repeat", noted)
            async with asyncio.timeout(10):
                await runs_again.wait()
        assert not task.done()
    await task
    assert await parcels.get(shared.id) is None
    assert await parcels.get(other.id) == other


async def test_who_waited_is_refused_as_on_postgresql(
    mongodb_storage: MongoStorage, parcels: Collection[Parcel]
) -> None:
    shared, other = parcel(), parcel()
    await parcels.insert(shared)

    async def second() -> None:
        async with mongodb_storage.transaction() as transaction:
            inside = transaction.documents(Parcel)
            await inside.insert(other)
            await inside.replace(shared)

    async with mongodb_storage.transaction() as transaction:
        await transaction.documents(Parcel).replace(shared)
        task = asyncio.create_task(second())
        await asyncio.sleep(0)
    with pytest.raises(VersionConflict):
        await task
    assert await parcels.get(other.id) is None


async def test_what_was_read_and_is_no_longer_so_is_not_built_upon(
    mongodb_storage: MongoStorage, parcels: Collection[Parcel]
) -> None:
    """Done again, a read that comes out differently ends it: the caller has decided on it."""
    read, written = parcel(), parcel()
    await parcels.insert(read)
    await parcels.insert(written)

    async def decide() -> None:
        async with mongodb_storage.transaction() as transaction:
            inside = transaction.documents(Parcel)
            assert await inside.get(read.id) == read
            await parcels.replace(read)
            await parcels.replace(written)
            await inside.delete(written.id)

    with pytest.raises(StorageUnavailable, match="Ask again"):
        await decide()
    assert await parcels.get(written.id) is not None


async def test_after_a_duplicate_nothing_is_kept_and_nothing_more_can_be_done(
    mongodb_storage: MongoStorage, parcels: Collection[Parcel]
) -> None:
    await parcels.insert(parcel(label="taken"))
    other = parcel()
    async with mongodb_storage.transaction() as transaction:
        inside = transaction.documents(Parcel)
        await inside.insert(other)
        with pytest.raises(DuplicateDocument):
            await inside.insert(parcel(label="taken"))
        with pytest.raises(InvariantViolation, match="only be left"):
            await inside.get(other.id)
    assert await parcels.get(other.id) is None


@pytest.mark.parametrize(
    "data",
    [
        {"errorCode": 251, "errorLabels": ["TransientTransactionError"]},
        {"closeConnection": True},
        {"writeConcernError": {"code": 91, "errmsg": "going down"}},
    ],
    ids=["rolled back", "cut", "unclear"],
)
@pytest.mark.parametrize("times", [1, 3])
async def test_a_broken_commit_is_done_once(
    mongodb_storage: MongoStorage,
    parcels: Collection[Parcel],
    failing: Any,
    times: int,
    data: dict[str, Any],
) -> None:
    one, two = parcel(), parcel()
    await parcels.insert(one)
    await failing(times, failCommands=["commitTransaction"], **data)
    async with mongodb_storage.transaction() as transaction:
        inside = transaction.documents(Parcel)
        await inside.replace(one)
        await inside.insert(two)
    found = await parcels.get(one.id)
    assert found is not None
    assert found.version == 2
    assert await parcels.get(two.id) == two


async def test_a_commit_that_stays_unknown_is_unavailable(
    mongodb_storage: MongoStorage,
    parcels: Collection[Parcel],
    failing: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("guilder.storage.mongo.engine.COMMIT_FOR_S", 0)
    one = parcel()

    async def write() -> None:
        async with mongodb_storage.transaction() as transaction:
            await transaction.documents(Parcel).insert(one)
            how = {"writeConcernError": {"code": 91, "errmsg": "going down"}}
            await failing(5, failCommands=["commitTransaction"], **how)

    with pytest.raises(StorageUnavailable):
        await write()
    assert await parcels.get(one.id) == one, "it was written: the outcome was unknown, not negative"


@pytest.mark.parametrize("command", ["insert", "update", "delete", "find"])
async def test_a_step_that_is_cut_outside_of_a_transaction_is_done_once(
    parcels: Collection[Parcel], failing: Any, command: str
) -> None:
    one = parcel()
    await failing(1, failCommands=[command], closeConnection=True)
    await parcels.insert(one)
    replaced = await parcels.replace(one)
    assert await parcels.get(one.id) == replaced
    assert await parcels.delete(one.id) is True


async def test_nested_times_are_cut_to_the_millisecond_too(
    new_mongodb_storage: MongoStorage,
) -> None:
    class Timed(Parcel, frozen=True, kw_only=True):
        collection = "timed"
        times: list[Any] = msgspec.field(default_factory=list)

    await new_mongodb_storage.migrate([Timed])
    written = Timed(
        id="t",
        created_at=MORNING,
        updated_at=MORNING,
        times=[MORNING + timedelta(microseconds=1), {"deep": MORNING}],
    )
    await new_mongodb_storage.documents(Timed).insert(written)
    found = await new_mongodb_storage.documents(Timed).get("t")
    assert found is not None
    assert found.times == ["2026-11-22T06:30:00Z", {"deep": "2026-11-22T06:30:00Z"}]
