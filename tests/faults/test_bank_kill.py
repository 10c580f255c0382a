"""The books under kill -9, without HTTP: thousands of transfers a second, every process killed."""

import itertools

import pytest

from tests.support.bank import run_bank
from tests.support.planted import ANSWER_FIRST, FORGETFUL_SERVER, NO_UNIQUE_ID, READ_THEN_WRITE
from tests.support.telling import tell

KILLS = 28
ANSWERS = 19_000
ACKNOWLEDGED = 13_000
RECOVERY_S = 5.0


async def test_nothing_acknowledged_is_lost_or_doubled(capsys: pytest.CaptureFixture[str]) -> None:
    turns = itertools.cycle(("database", "worker", "everything", "connections"))
    audit = await run_bank(list(itertools.islice(turns, KILLS)), answers_at_least=ANSWERS)
    tell(capsys, f"ledger: {audit}")
    assert audit.faults == {}
    assert sum(audit.kills.values()) == KILLS
    assert audit.acknowledged >= ACKNOWLEDGED
    assert audit.reads > KILLS
    assert sorted(audit.recovery_s)[KILLS // 2] <= RECOVERY_S


@pytest.mark.parametrize(
    ("fault", "kills", "shown"),
    [
        (NO_UNIQUE_ID, ["connections"], "doubled"),
        (FORGETFUL_SERVER, ["database"] * 3, "lost"),
        (READ_THEN_WRITE, ["connections"] * 2, "wrong balances"),
        (ANSWER_FIRST, ["everything"] * 3, "lost"),
    ],
)
async def test_a_planted_fault_is_found(
    fault: str, kills: list[str], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = await run_bank(kills, fault=fault)
    tell(capsys, f"{fault}: {audit}")
    assert shown in audit.faults
