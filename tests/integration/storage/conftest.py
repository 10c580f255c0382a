"""Fixtures for the bundled server's own tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import reachable_directory


@pytest.fixture(scope="module")
def used() -> Iterator[Path]:
    """A data directory that the tests of this module use one after the other."""
    with reachable_directory() as directory:
        yield directory / "data"
