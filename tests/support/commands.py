"""`guilder COMMAND`, run in this process on a database of a test."""

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from guilder.cli import main
from guilder.cli.exit_codes import ExitCode
from tests.support.databases import Database


class Command:
    """Runs the command on one database."""

    def __init__(self, database: Database, capsys: pytest.CaptureFixture[str]) -> None:
        self._database = database
        self._capsys = capsys

    async def run(self, *words: str) -> tuple[int, str]:
        """Return exit code and what was printed."""
        # What runs in the background of other tests must not write into it, nor have written.
        self._capsys.readouterr()
        with capture_logs():
            code = await asyncio.to_thread(
                self._run, (*words, "--database-url", self._database.url)
            )
        printed = self._capsys.readouterr()
        return code, printed.out + printed.err

    async def json(self, *words: str) -> list[Any]:
        """Return what was printed, line by line."""
        code, printed = await self.run(*words, "--json")
        assert code == ExitCode.DONE, printed
        return [json.loads(line) for line in printed.splitlines()]

    async def flat(self, *words: str) -> tuple[int, str]:
        """As `run`, in one line: where words wrap depends on the terminal."""
        code, printed = await self.run(*words)
        return code, " ".join(printed.split())

    def _run(self, words: tuple[str, ...]) -> int:
        with pytest.raises(SystemExit) as ended:
            main(words)
        return int(ended.value.code or 0)
