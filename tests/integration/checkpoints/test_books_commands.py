"""`guilder verify`, `verify --since`, `export` and `import`, on a database that was served."""

import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from guilder.cli.exit_codes import ExitCode
from guilder.kernel.clock import utc_now
from guilder.ledger.checkpoints import Checkpoint, CheckpointKey, sign_next
from guilder.storage import open_storage
from tests.support.commands import Command
from tests.support.databases import Database, Server
from tests.support.random_books import random_requests, write_book
from tests.support.tampering import blank_hash, is_mongodb

SECRET = "a secret that is kept for as long as the books are"


@pytest.fixture
def command(
    new_database: Database,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Command:
    monkeypatch.setenv("GUILDER_CHECKPOINT_KEY", SECRET)
    monkeypatch.setenv("GUILDER_DATA_DIRECTORY", str(tmp_path / "data"))
    monkeypatch.setenv("GUILDER_DATABASE_OWNER_URL", new_database.owner_url)
    return Command(new_database, capsys)


@pytest.fixture
async def kept(new_database: Database, tmp_path: Path) -> Path:
    """A random book with a checkpoint inside of it, and a file that has it."""
    storage = await open_storage(new_database.url, owner_url=new_database.owner_url)
    await storage.migrate([Checkpoint])
    await write_book(storage.ledger(), random_requests(random.Random(8), 20))
    statement = await sign_next(
        storage.documents(Checkpoint),
        storage.ledger(),
        CheckpointKey(SECRET.encode()),
        verified=10,
        now=utc_now(),
    )
    await storage.close()
    assert statement is not None
    file = tmp_path / "checkpoint.json"
    fields = {name: getattr(statement, name) for name in statement.__struct_fields__}
    file.write_text(json.dumps(fields, indent=1))
    return file


async def test_verify_compares_the_stored_checkpoints(
    command: Command, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, printed = await command.flat("verify")
    assert (code, "Signed checkpoints that agree: 1." in printed) == (ExitCode.DONE, True)
    code, printed = await command.flat("verify", "--json")
    assert (code, json.loads(printed)["checkpoints"]) == (ExitCode.DONE, 1)
    monkeypatch.delenv("GUILDER_CHECKPOINT_KEY")
    code, printed = await command.flat("verify", "--json")
    assert (code, json.loads(printed)["checkpoints"]) == (ExitCode.DONE, None)


async def test_a_database_without_the_table_of_checkpoints_is_to_be_migrated(
    command: Command, new_database: Database
) -> None:
    if not is_mongodb(new_database):  # There, a collection that is missing is an empty one.
        code, printed = await command.flat("verify")
        assert (code, "run `guilder migrate`" in printed) == (ExitCode.UNAVAILABLE, True)
    assert (await command.flat("migrate"))[0] == ExitCode.DONE
    code, printed = await command.flat("verify", "--json")
    assert (code, json.loads(printed)["checkpoints"]) == (ExitCode.DONE, 0)


async def test_verify_since_reads_what_follows(command: Command, kept: Path) -> None:
    code, printed = await command.flat("verify", "--since", str(kept), "--json")
    report = json.loads(printed)
    assert (code, report["ok"], report["checkpoints"]) == (ExitCode.DONE, True, 1)
    assert report["transfers"] == report["position"] - 10


async def test_verify_since_finds_another_history(
    command: Command, kept: Path, new_database: Database
) -> None:
    await blank_hash(new_database, 10)
    code, printed = await command.flat("verify", "--since", str(kept))
    assert code == ExitCode.WRONG
    assert "The first difference is at position 10" in printed


async def test_verify_since_needs_a_checkpoint_and_its_key(
    command: Command, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GUILDER_CHECKPOINT_KEY")
    code, printed = await command.flat("verify", "--since", str(kept))
    assert (code, "GUILDER_CHECKPOINT_KEY" in printed) == (ExitCode.USAGE, True)
    assert (await command.flat("verify", "--since", __file__))[0] == ExitCode.USAGE


@pytest.fixture
async def elsewhere(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[tuple[Command, str]]:
    """The command on an empty database, and its owner's url."""
    async with server.database() as fresh:
        yield Command(fresh, capsys), fresh.owner_url


async def test_books_move_to_another_database(
    command: Command,
    kept: Path,
    tmp_path: Path,
    elsewhere: tuple[Command, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "books.jsonl"
    code, said = await command.flat("export", str(file))
    assert (code, said.startswith("Exported up to position")) == (ExitCode.DONE, True)
    assert (await command.flat("export", str(file)))[0] == ExitCode.USAGE
    assert (await command.flat("import", str(file)))[0] == ExitCode.USAGE, "there are books"
    other, owner_url = elsewhere
    monkeypatch.setenv("GUILDER_DATABASE_OWNER_URL", owner_url)
    assert await other.flat("import", str(file)) == (0, said.replace("Ex", "Im", 1))
    code, printed = await other.flat("verify")
    assert (code, said.split()[-1] in printed) == (ExitCode.DONE, True)
    # The checkpoint that was kept elsewhere fits the new house, too.
    assert (await other.flat("verify", "--since", str(kept)))[0] == ExitCode.DONE
