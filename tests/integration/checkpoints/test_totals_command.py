"""`guilder totals` on a database that was served: now, earlier, by code and by owner."""

import json
from pathlib import Path

import pytest

from guilder.cli.exit_codes import ExitCode
from tests.integration.checkpoints.test_books_commands import command, kept
from tests.support.commands import Command

__all__ = ["command", "kept"]

EMPTY = "At position 0, in minor units:"


@pytest.mark.parametrize("by", ["code", "owner"])
async def test_it_adds_up(command: Command, kept: Path, by: str) -> None:
    code, printed = await command.flat("totals", "--by", by, "--json")
    assert code == ExitCode.DONE
    found = json.loads(printed)
    assert sum(each["posted"] for each in found["totals"]) == 0
    names = {each["name"] for each in found["totals"]}
    assert names == ({"wallet"} if by == "code" else {"mint", "payer", "payee", "third", "fourth"})
    code, printed = await command.flat("totals", "--by", by, "--as-of", "1", "--json")
    early = json.loads(printed)
    assert (early["position"], early["totals"][0]["accounts"]) == (1, 2 if by == "code" else 1)
    whole = await command.flat("totals", "--by", by, "--as-of", str(found["position"]), "--json")
    assert json.loads(whole[1]) == found
    before = await command.flat("totals", "--by", by, "--as-of", "2000-01-01T00:00:00Z")
    assert (
        before[1]
        == f"At position 0, in minor units: asset {by} accounts posted pending_in pending_out"
    )


async def test_it_prints_a_table(command: Command, kept: Path) -> None:
    code, printed = await command.flat("totals", "--by", "owner", "--as-of", "1")
    assert code == ExitCode.DONE
    assert printed == (
        "At position 1, in minor units: asset owner accounts posted pending_in pending_out "
        "USD mint 1 -1000 0 0 USD payer 1 1000 0 0"
    )


@pytest.mark.parametrize("place", ["yesterday", "2026-01-31", "-1", "1.5", "2026-01-31T12:00:00"])
async def test_a_place_has_a_form(command: Command, place: str) -> None:
    code, printed = await command.flat("totals", f"--as-of={place}")
    assert code == ExitCode.USAGE
    assert "--as-of" in printed
