"""Thousands of requests made from the OpenAPI document, signed in, against a running Guilder.

Every answer is one that the document names, none is a 500, and nothing is taken that the document
forbids. `GUILDER_TEST_FUZZ_EXAMPLES` says how many random requests each operation gets.
"""

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.support.guilder_process import GuilderProcess, guilder_process
from tests.support.payers import make_payers

EXAMPLES = int(os.environ.get("GUILDER_TEST_FUZZ_EXAMPLES", "3"))
UNFIT = ("positive_data_acceptance",)
"""A well-formed request may be refused for want of money, a friend or a gateway."""


async def test_every_operation_keeps_to_its_document(tmp_path: Path) -> None:
    async with guilder_process() as guilder:
        [person] = await make_payers(guilder.host, guilder.port, 1)
        async with guilder.wire() as wire:
            document = (await wire.ask("GET", "/openapi.json")).json()
        code, report = await _fuzz(guilder, person.authorization, tmp_path)
        assert code == 0, report
        operations = sum(len(methods) for methods in document["paths"].values())
        assert f"Tested: {operations}\n" in report
        [requests] = re.findall(r"(\d+) generated", report)
        assert int(requests) > 20 * operations


async def _fuzz(guilder: GuilderProcess, authorization: str, directory: Path) -> tuple[int, str]:
    """Run it; return its exit code and what it found."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run"),
        f"http://{guilder.host}:{guilder.port}/openapi.json",
        *("--header", f"Authorization: {authorization}"),
        *("--checks", "all", "--exclude-checks", ",".join(UNFIT)),
        *("--max-examples", str(EXAMPLES), "--continue-on-failure", "--no-shrink", "--no-color"),
        *("--warnings", "off", "--suppress-health-check", "all"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=directory,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()
