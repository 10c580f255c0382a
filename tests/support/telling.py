"""Figures that a run is asked for: shown whether it passes or not."""

import sys

import pytest


def tell(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Show a line of figures."""
    with capsys.disabled():
        sys.stdout.write(f"\n{line}\n")
