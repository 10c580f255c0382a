"""Batches on MongoDB whose commands fail, and commits whose answers are lost: each is done once."""

from typing import Any

import pytest

from guilder.ledger.models import Verdict
from guilder.ledger.verify import verify
from guilder.storage.mongo.engine import Body
from guilder.storage.mongo.storage import MongoStorage
from tests.support.books import request
from tests.support.postgres_books import created, journal_on, open_funded, posted


@pytest.mark.parametrize(
    ("times", "data"),
    [
        (1, {"closeConnection": True}),
        (3, {"closeConnection": True}),
        (1, {"writeConcernError": {"code": 64, "errmsg": "wtimeout", "errInfo": {}}}),
        (3, {"writeConcernError": {"code": 91, "errmsg": "going down"}}),
        (2, {"errorCode": 10107, "errorLabels": ["RetryableWriteError"]}),
        (1, {"errorCode": 251, "errorLabels": ["TransientTransactionError"]}),
        (2, {"errorCode": 112, "errorLabels": ["TransientTransactionError"]}),
    ],
)
async def test_an_unclear_answer_to_commit_is_found_out(
    mongodb_storage: MongoStorage, failing: Any, times: int, data: Body
) -> None:
    async with journal_on(mongodb_storage.ledger()) as journal:
        await open_funded(journal, payer=10, payee=0)
        await failing(times, failCommands=["commitTransaction"], **data)
        once = request("payer", "payee", 4)
        found = await journal.post_all([once, once])
        assert [each.verdict for each in found] == [Verdict.CREATED, Verdict.EXISTS]
        assert await posted(journal, "payee") == 4
    assert (await verify(mongodb_storage.ledger())).ok


@pytest.mark.parametrize("was_applied", [True, False])
async def test_a_commit_that_stays_unknown_is_looked_up(
    mongodb_storage: MongoStorage,
    failing: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    was_applied: bool,
) -> None:
    """Every attempt to commit fails for longer than it is tried; the ids tell."""
    monkeypatch.setattr("guilder.storage.mongo.engine.COMMIT_FOR_S", 0)
    how: Body = (
        {"writeConcernError": {"code": 91, "errmsg": "going down"}}
        if was_applied
        else {"closeConnection": True}
    )
    async with journal_on(mongodb_storage.ledger()) as journal:
        await open_funded(journal, payer=10, payee=0)
        await failing(2, failCommands=["commitTransaction"], **how)
        assert (await journal.post(request("payer", "payee", 4))).verdict is Verdict.CREATED
        assert await posted(journal, "payee") == 4
    assert (await verify(mongodb_storage.ledger())).ok


@pytest.mark.parametrize("command", ["find", "insert", "update", "findAndModify"])
@pytest.mark.parametrize(
    "data",
    [
        {"closeConnection": True},
        {"errorCode": 112, "errorLabels": ["TransientTransactionError"]},
        {"errorCode": 11600},
    ],
    ids=["closed", "conflict", "shutdown"],
)
async def test_a_broken_batch_is_done_again(
    mongodb_storage: MongoStorage, failing: Any, command: str, data: Body
) -> None:
    async with journal_on(mongodb_storage.ledger()) as journal:
        await open_funded(journal, payer=10, payee=0)
        await failing(1, failCommands=[command], **data)
        created([await journal.post(request("payer", "payee", 4))])
        assert await posted(journal, "payee") == 4
    assert (await verify(mongodb_storage.ledger())).ok
