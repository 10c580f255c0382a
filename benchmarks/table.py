"""The table of the last figures in the documentation, made from the lines of a run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

Line = Mapping[str, str | int | float | None]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "benchmarks.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_HEAD = ("figure", "engine", "of", "median", "least to greatest", "beside", "ratio")


def fill(lines_file: Path, page: Path = PAGE) -> None:
    """Write the figures of a file of JSON lines between the marks of the page.

    Raises:
        ValueError: A line is no JSON object, or the page has no marks.
    """
    lines = [json.loads(line) for line in lines_file.read_text().splitlines() if line.strip()]
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        message = f"{page} has no marks {BEGIN} and {END}"
        raise ValueError(message)
    page.write_text(f"{before}{BEGIN}\n{table(lines)}{END}{after}")


def table(lines: Sequence[Line]) -> str:
    """Return what was measured, as Markdown: the machine, and a row for each figure."""
    rows = [_row(line) for line in lines if line["bench"] != "machine"]
    machines = [_machine(line) for line in lines if line["bench"] == "machine"]
    # Two runs of one day measured their disk twice: the later one stands for both.
    text = "".join(f"{each}\n\n" for each in machines[-1:])
    for row in (_HEAD, ["---"] * len(_HEAD), *rows):
        text += f"| {' | '.join(row)} |\n"
    return text


def _machine(line: Line) -> str:
    engines = [
        f"{name} {line[key]}"
        for name, key in (("PostgreSQL", "postgresql_version"), ("MongoDB", "mongodb_version"))
        if key in line
    ]
    return (
        f"Measured on {line['date']}: {line['cores']} cores ({line['cpu']}), "
        f"{_number(line['memory_gb'])} GB, {line['system']}, Python {line['python']}, "
        f"{', '.join(engines)}; making a page durable takes {_number(line['fsync_ms'])} ms."
    )


def _row(line: Line) -> list[str]:
    median, least, greatest = _figure(line)
    return [
        f"`{line['bench']}`",
        str(line["engine"]),
        _of(line),
        median,
        f"{least} to {greatest}" if least else "",
        _beside(line),
        _ratio(line),
    ]


_UNITS = {
    "tps": "{}/s",
    "p50_large_ms": "{} ms",
    "seconds": "{} s",
    "megabytes": "{} MB",
}


def _figure(line: Line) -> tuple[str, str, str]:
    """Return what a line is about, and between what it lay over the rounds."""
    name = next(each for each in _UNITS if each in line)
    median = _UNITS[name].format(_number(line[name]))
    if f"{name}_min" not in line:
        return median, "", ""
    return median, _number(line[f"{name}_min"]), _number(line[f"{name}_max"])


_CONDITIONS = {
    "batch": "batches of {}",
    "connections": "{} connections",
    "workers": "{} processes",
    "transfers": "{} transfers",
    "transfers_large": "{} transfers",
    "start": "{} start",
    "p50_ms": "p50 {} ms",
    "p99_ms": "p99 {} ms",
    "guilder_us": "processor: Guilder {} µs",
    "database_us": "database {} µs",
    "client_us": "client {} µs",
}


def _of(line: Line) -> str:
    given = [text.format(_number(line[key])) for key, text in _CONDITIONS.items() if key in line]
    return ", ".join(given)


def _beside(line: Line) -> str:
    if "pgbench_tpcb_tps" in line:
        return f"pgbench {_number(line['pgbench_tpcb_tps'])}/s"
    if "postgresql_tps" in line:
        return f"PostgreSQL {_number(line['postgresql_tps'])}/s"
    if "transfers_small" in line:
        few = f"{_number(line['transfers_small'])} transfers"
        return f"{_number(line['p50_small_ms'])} ms at {few}"
    return f"goal {_number(line['goal'])}" if "goal" in line else ""


def _ratio(line: Line) -> str:
    return f"**{float(str(line['ratio'])):.2f}**" if "ratio" in line else ""


def _number(value: str | float | None) -> str:
    """Return a number with no more digits than it has meaning: whole from a hundred on."""
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.2f}"
