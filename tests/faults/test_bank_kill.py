"""The books under kill -9, without HTTP: thousands of transfers a second, every process killed.

`GUILDER_TEST_BANK_KILLS` says how often, on each engine: half of them kill the database.
"""

import itertools
import os

import pytest

from tests.support.bank import run_bank
from tests.support.databases import ENGINES
from tests.support.planted import ANSWER_FIRST, FORGETFUL_SERVER, NO_UNIQUE_ID, READ_THEN_WRITE
from tests.support.telling import tell

KILLS = int(os.environ.get("GUILDER_TEST_BANK_KILLS", "8"))
ANSWERS_PER_KILL = {"postgresql": 600, "mongodb": 300}
RECOVERY_S = {"postgresql": 5.0, "mongodb": 10.0}
"""MongoDB's driver looks for its server again after half a second, and again; and the server reads
its files and elects itself."""
RUNS = 5
"""A kill may come when nothing is between its answer and its COMMIT, in a whole run even."""
POSTGRESQL, MONGODB = "postgresql", "mongodb"


@pytest.mark.parametrize("engine", ENGINES)
async def test_nothing_acknowledged_is_lost_or_doubled(
    engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = itertools.cycle(("database", "worker", "everything", "connections"))
    kills = list(itertools.islice(turns, KILLS))
    answers = KILLS * ANSWERS_PER_KILL[engine]
    audit = await run_bank(engine, kills, answers_at_least=answers)
    tell(capsys, f"ledger on {engine}: {audit}")
    assert audit.faults == {}
    assert sum(audit.kills.values()) == KILLS
    assert audit.acknowledged >= answers // 2
    assert audit.reads > KILLS
    assert sorted(audit.recovery_s)[KILLS // 2] <= RECOVERY_S[engine]


@pytest.mark.parametrize(
    ("engine", "fault", "kills", "shown"),
    [
        (POSTGRESQL, NO_UNIQUE_ID, ["connections"], "doubled"),
        (POSTGRESQL, FORGETFUL_SERVER, ["database"] * 3, "lost"),
        (POSTGRESQL, READ_THEN_WRITE, ["connections"] * 2, "wrong balances"),
        (POSTGRESQL, ANSWER_FIRST, ["everything"] * 3, "lost"),
        (MONGODB, NO_UNIQUE_ID, ["connections"], "doubled"),
        (MONGODB, FORGETFUL_SERVER, ["database"] * 3, "lost"),
        (MONGODB, ANSWER_FIRST, ["everything"] * 3, "lost"),
    ],
)
async def test_a_planted_fault_is_found(
    engine: str, fault: str, kills: list[str], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if engine not in ENGINES:
        pytest.skip(f"not on {engine} in this run")
    for _ in range(RUNS):
        audit = await run_bank(engine, kills, fault=fault)
        tell(capsys, f"{fault} on {engine}: {audit}")
        if shown in audit.faults:
            return
    pytest.fail(f"{RUNS} runs have not shown it")
