"""The page of figures is written from what a run printed."""

import json
from pathlib import Path

import pytest

from benchmarks.table import BEGIN, END, PAGE, Line, fill, table

MACHINE: Line = {
    "bench": "machine",
    "date": "2026-01-31",
    "cores": 2,
    "cpu": "A processor",
    "memory_gb": 7.8,
    "system": "Linux",
    "python": "3.11.9",
    "postgresql_version": "18.6",
    "mongodb_version": "6.0.5",
    "fsync_ms": 0.516,
}
UNIFORM: Line = {
    "bench": "ledger_uniform",
    "engine": "postgresql",
    "batch": 8192,
    "tps": 21_234.567,
    "tps_min": 20_000.4,
    "tps_max": 22_000.0,
    "pgbench_tpcb_tps": 1_400.0,
    "ratio": 15.168,
    "guilder_us": 26.25,
    "database_us": 24.0,
}
ON_MONGODB: Line = {
    "bench": "ledger_uniform",
    "engine": "mongodb",
    "batch": 8192,
    "tps": 7_000.0,
    "tps_min": 6_900.0,
    "tps_max": 7_100.0,
    "postgresql_tps": 21_234.567,
    "ratio": 0.33,
    "goal": 0.3,
}
BALANCE: Line = {
    "bench": "balance_read",
    "engine": "postgresql",
    "transfers_small": 1_000,
    "transfers_large": 100_000,
    "p50_small_ms": 0.5,
    "p50_large_ms": 0.55,
    "p50_large_ms_min": 0.54,
    "p50_large_ms_max": 0.61,
    "ratio": 1.1,
    "goal": 1.2,
}
COLD_START: Line = {
    "bench": "cold_start_s",
    "engine": "postgresql",
    "start": "first",
    "seconds": 3.21,
    "goal": 5.0,
}


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (
            UNIFORM,
            (
                "| `ledger_uniform` | postgresql | batches of 8,192, processor: Guilder 26.25 µs, "
                "database 24 µs | 21,235/s | 20,000 to 22,000 "
                "| pgbench 1,400/s | **15.17** |"
            ),
        ),
        (
            ON_MONGODB,
            (
                "| `ledger_uniform` | mongodb | batches of 8,192 | 7,000/s | 6,900 to 7,100 "
                "| PostgreSQL 21,235/s | **0.33** |"
            ),
        ),
        (
            BALANCE,
            (
                "| `balance_read` | postgresql | 100,000 transfers | 0.55 ms | 0.54 to 0.61 "
                "| 0.50 ms at 1,000 transfers | **1.10** |"
            ),
        ),
        (
            COLD_START,
            "| `cold_start_s` | postgresql | first start | 3.21 s |  | goal 5 |  |",
        ),
    ],
    ids=["pgbench beside", "postgresql beside", "small book beside", "goal beside"],
)
def test_a_line_becomes_a_row(line: Line, row: str) -> None:
    assert table([line]).splitlines()[2:] == [row]


def test_the_machine_is_named_above_the_rows_once() -> None:
    text = table([MACHINE, UNIFORM, {**MACHINE, "fsync_ms": 0.6}])

    assert text.startswith(
        "Measured on 2026-01-31: 2 cores (A processor), 7.80 GB, Linux, Python 3.11.9, "
        "PostgreSQL 18.6, MongoDB 6.0.5; making a page durable takes 0.60 ms.\n\n| figure "
    )
    assert text.count("Measured on") == 1


def test_the_figures_are_written_between_the_marks_again_and_again(tmp_path: Path) -> None:
    page, lines = tmp_path / "page.md", tmp_path / "lines"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    lines.write_text(f"{json.dumps(UNIFORM)}\n\n{json.dumps(BALANCE)}\n")

    fill(lines, page)
    once = page.read_text()
    fill(lines, page)

    assert once == f"before\n{BEGIN}\n{table([UNIFORM, BALANCE])}{END}\nafter\n"
    assert page.read_text() == once


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page, lines = tmp_path / "page.md", tmp_path / "lines"
    page.write_text("no marks\n")
    lines.write_text(json.dumps(UNIFORM))

    with pytest.raises(ValueError, match="has no marks"):
        fill(lines, page)

    assert page.read_text() == "no marks\n"


def test_the_page_in_the_documentation_has_the_marks() -> None:
    text = PAGE.read_text()

    assert text.index(BEGIN) < text.index(END)
