"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

import guilder

SOURCE = Path(guilder.__file__).parent
WITH_EXAMPLES = sorted(
    path.relative_to(SOURCE.parent).with_suffix("").as_posix().replace("/", ".")
    for path in SOURCE.rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))

    assert result.attempted > 0
    assert result.failed == 0


def test_there_are_examples() -> None:
    assert "guilder.kernel.money" in WITH_EXAMPLES
