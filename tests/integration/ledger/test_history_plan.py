"""A page of history costs the same for everybody: it is read along (account, position).

With `account = $1 ORDER BY position` the planner walked the whole journal backwards for an account
with few transfers beside one with most of them.
"""

import json

import asyncpg
import pytest

from guilder.storage.base import TransferFilter
from guilder.storage.postgres.ledger_sql import Statements
from tests.support.books import account_id, request
from tests.support.databases import Database
from tests.support.postgres_books import journals_on, open_funded


@pytest.mark.parametrize("before_position", [None, 1_500])
async def test_a_page_is_read_along_the_accounts_index(
    database: Database, before_position: int | None
) -> None:
    async with journals_on(database, 1) as (journal,):
        await open_funded(journal, busy=10_000, quiet=10, payee=0)
        await journal.post(request("quiet", "payee", 1))
        await journal.post_all([request("busy", "payee", 1) for _ in range(2_000)])
    query, arguments = Statements("book_main").account_transfers(
        [account_id("quiet")], TransferFilter(kinds=(1,)), before_position=before_position, limit=26
    )
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute("ANALYZE")
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *arguments))
    await connection.close()
    assert indexes_in(plan[0]["Plan"]) == {"transfers_debit", "transfers_credit"}


def indexes_in(node: dict[str, object]) -> set[object]:
    """Return what a plan reads transfers by; a walk over the table is `None`."""
    below: list[dict[str, object]] = node.get("Plans", [])  # type: ignore[assignment]
    found = set().union(*map(indexes_in, below))
    return found | {node.get("Index Name")} if node.get("Relation Name") else found
