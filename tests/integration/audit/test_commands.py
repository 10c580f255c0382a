"""`guilder audit list`, `verify`, `head`, and `guilder verify`, on a database with a record."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from guilder.audit.models import MODELS, AuditEvent
from guilder.audit.trail import AddressKey, AuditTrail
from guilder.cli.exit_codes import ExitCode
from guilder.kernel.clock import utc_now
from guilder.ledger.checkpoints import Checkpoint
from tests.support.audit import (
    OTHER,
    USER,
    Record,
    everything,
    fill,
    opened,
    owner_storage,
    seal_all,
)
from tests.support.commands import Command
from tests.support.databases import Database

PEPPER = "pepper for tests, which has 32 bytes or more"


@pytest.fixture
async def command(
    new_database: Database,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Command:
    monkeypatch.setenv("GUILDER_PEPPER", PEPPER)
    monkeypatch.setenv("GUILDER_DATA_DIRECTORY", str(tmp_path / "data"))
    monkeypatch.setenv("GUILDER_DATABASE_OWNER_URL", new_database.owner_url)
    async with opened(new_database.url, new_database) as served:
        await served.migrate([*MODELS, Checkpoint])
        await fill(served, 6)
        await seal_all(served)
        trail = AuditTrail(served, clock=utc_now, address_key=AddressKey(PEPPER.encode()))
        await trail.record(
            "role.changed",
            actor=OTHER,
            subject=USER,
            outcome="refused",
            details={"role": "auditor"},
            address="192.0.2.66",
        )
    capsys.readouterr()
    return Command(new_database, capsys)


async def change_an_event(database: Database) -> None:
    """Change the third event, as the owner of the database."""
    async with owner_storage(database) as owner:
        record = Record(owner)
        await record.read()
        third = (await everything(owner, AuditEvent))[2]
        changed = {**record.now[AuditEvent], third.id: replace(third, actor=OTHER)}
        await record.write({**record.now, AuditEvent: changed})


async def test_list_shows_events_newest_first(command: Command) -> None:
    found = await command.json("audit", "list")
    assert [each["position"] for each in found] == [None, 6, 5, 4, 3, 2, 1]
    assert [each["action"] for each in found][:2] == ["role.changed", "session.opened"]
    assert len(await command.json("audit", "list", "--limit", "2")) == 2
    assert len(await command.json("audit", "list", "--actor", OTHER)) == 1
    assert len(await command.json("audit", "list", "--subject", OTHER)) == 4
    assert len(await command.json("audit", "list", "--action", "session.opened")) == 6
    assert len(await command.json("audit", "list", "--since", "2026-01-31")) == 7
    assert await command.json("audit", "list", "--since", "2199-01-31T12:00:00") == []
    assert len(await command.json("audit", "list", "--address", "192.0.2.66")) == 1
    code, printed = await command.run("audit", "list", "--limit", "1")
    assert code == ExitCode.DONE
    assert printed.endswith(f"unsealed role.changed refused: {OTHER} -> {USER} role=auditor\n")


async def test_verify_finds_the_first_wrong_position(
    command: Command, new_database: Database
) -> None:
    code, printed = await command.run("audit", "verify")
    assert code == ExitCode.DONE
    assert "Read 6 sealed events and 1 that wait for their seal." in printed
    assert "The record is right." in printed
    await change_an_event(new_database)
    code, printed = await command.run("audit", "verify")
    assert code == ExitCode.WRONG
    assert "The record is NOT right. The first difference is at position 3: " in printed
    code, printed = await command.run("audit", "verify", "--json")
    told = json.loads(printed)
    assert (code, told["ok"], told["difference"]["position"]) == (ExitCode.WRONG, False, 3)


async def test_asvs_16_4_3_a_head_that_is_kept_elsewhere_shows_a_record_written_anew(
    command: Command, new_database: Database, tmp_path: Path
) -> None:
    code, printed = await command.run("audit", "head")
    assert (code, json.loads(printed)["position"]) == (ExitCode.DONE, 6)
    file = tmp_path / "head.json"
    file.write_text(printed)
    code, printed = await command.run("audit", "verify", "--against", str(file))
    assert code == ExitCode.DONE, printed
    async with owner_storage(new_database) as owner:
        record = Record(owner)
        await record.read()
        await record.write({model: {} for model in MODELS})
        await fill(owner, 6)
        await seal_all(owner)
    code, _ = await command.run("audit", "verify")
    assert code == ExitCode.DONE
    code, printed = await command.run("audit", "verify", "--against", str(file))
    assert code == ExitCode.WRONG
    assert "position 6: the record is not the one whose head was noted at" in printed


async def test_a_file_that_is_no_head_is_refused(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "head.json"
    file.write_text("nothing")
    code, printed = await command.run("audit", "verify", "--against", str(file))
    # AuditHeadUnreadable
    assert code != ExitCode.DONE
    assert "This is not a noted head" in " ".join(printed.split())


async def test_verify_of_the_books_reads_the_record_too(
    command: Command, new_database: Database
) -> None:
    code, printed = await command.run("verify")
    assert (code, "Sealed events of the audit record that agree: 6." in printed) == (0, True)
    await change_an_event(new_database)
    code, printed = await command.run("verify")
    assert code == ExitCode.WRONG
    assert "position 3: of the audit record: " in printed
