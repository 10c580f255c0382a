"""Every row of the security table that applies has a test named after it."""

import re
from collections.abc import Iterator

from tests.security.rows import ROWS, Row
from tests.tidy.source import modules

_ASVS = re.compile(r"test_asvs_(\d+)_(\d+)_(\d+)(?:_to_(\d+))?_[a-z0-9]")
_ROW = re.compile(r"test_row_(\d+)_[a-z0-9]")


def names_of(test: str) -> Iterator[str]:
    """Tell which requirements a test is named after: `6.2.5` for ASVS, `72` for a row."""
    if found := _ASVS.match(test):
        chapter, section, first, last = found.groups()
        for number in range(int(first), int(last or first) + 1):
            yield f"{chapter}.{section}.{number}"
    elif found := _ROW.match(test):
        yield found[1]


def all_tests() -> Iterator[str]:
    """Find every test function by reading, not running."""
    for module in modules():
        if module.path.startswith("tests/") and "/test_" in module.path:
            for function in module.functions():
                if function.name.startswith("test_"):
                    yield function.name


def wanted(rows: dict[int, Row]) -> dict[str, int]:
    """Return every name that a test must have, and its row."""
    return {name: row for row, each in rows.items() for name in each.asvs or (str(row),)}


def lost(rows: dict[int, Row], found: set[str]) -> list[str]:
    """Say what has no test."""
    return [
        f"row {row}, {rows[row].about}: no test is named after {name}"
        for name, row in wanted(rows).items()
        if name not in found
    ]


def test_every_row_has_its_tests() -> None:
    found = {name for test in all_tests() for name in names_of(test)}
    missing = lost(ROWS, found)
    assert not missing, "\n".join(missing)


def test_every_test_that_names_a_row_names_one_of_the_table() -> None:
    known = wanted(ROWS)
    strange = [
        test
        for test in all_tests()
        if re.match(r"test_(asvs|row)_", test)
        and (not (names := list(names_of(test))) or not known.keys() >= set(names))
    ]
    assert not strange, f"not in tests/security/rows.py: {strange}"


def test_a_lost_test_is_found() -> None:
    rows = {16: Row("cookies", ("3.3.1", "3.3.4")), 72: Row("keys")}
    found = {*names_of("test_asvs_3_3_1_to_4_cookies"), *names_of("test_row_72_a_key")}
    assert lost(rows, found) == []
    assert lost(rows, found - {"3.3.4"}) == ["row 16, cookies: no test is named after 3.3.4"]
    assert lost(rows, found - {"72"}) == ["row 72, keys: no test is named after 72"]
    assert list(names_of("test_asvs_6_2_11_words")) == ["6.2.11"]
    assert list(names_of("test_asvs_6_2_is_too_short")) == []
