"""The programs of docs/concepts/ledger.md, for the tests that run them."""

import contextlib
import io
import json
import re
import sys
import tempfile
from pathlib import Path
from types import CodeType
from typing import Any
from unittest.mock import patch

PAGE = Path(__file__).parents[2] / "docs/concepts/ledger.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """Return each program with what it is said to print."""
    return [(program, printed) for program, printed in _BLOCK.findall(PAGE.read_text())]


def snippet(word: str) -> str:
    """Return the program that begins to use a word in its first five lines."""
    (found,) = [text for text, _ in blocks() if word in "".join(text.splitlines()[:5])]
    return found


def run(program: str | CodeType, *arguments: str) -> str:
    """Run a program in this process and return what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), patch.object(sys, "argv", ["-", *arguments]):
        exec(program, {"__name__": "__main__"})  # noqa: S102 - our own page
    return printed.getvalue()


def verify_proof(
    proof: dict[str, Any], public_key: str, *, compiled: CodeType | None = None
) -> str:
    """Check a proof by the page's program; it raises if something is wrong."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(proof, file)
        file.flush()
        return run(compiled or snippet("proof"), file.name, public_key)
