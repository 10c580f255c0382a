"""The demo on a MongoDB of one's own, in a database of the demo's own."""

import os
import subprocess
import sys

from pymongo import AsyncMongoClient

from tests.support.mongo import MongoServer


async def test_it_plays_there_and_leaves_nothing_behind(mongodb: MongoServer) -> None:
    named = mongodb.url_of("somebodys_own")
    played = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
        [sys.executable, "-m", "guilder.cli", "demo"],
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ, "GUILDER_DATABASE_URL": named},
    )
    assert played.returncode == 0, played.stdout + played.stderr
    client: AsyncMongoClient[dict[str, object]]
    async with AsyncMongoClient(mongodb.url) as client:
        names = await client.list_database_names()
        written = await client.local["oplog.rs"].distinct("ns", {"ns": {"$regex": r"^guilder_"}})
    assert [name for name in names if name.startswith(("guilder", "somebodys"))] == []
    assert any(name.endswith(".book_main_head") for name in written)
