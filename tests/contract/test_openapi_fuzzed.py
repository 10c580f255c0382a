"""Thousands of requests made from the OpenAPI document by schemathesis, against a running Guilder.

They are signed in. Every answer is one that the document names, none is a 500, and nothing is taken
that the document forbids. `GUILDER_TEST_FUZZ_EXAMPLES` says how many random requests each operation
gets.
"""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.support.guilder_process import GuilderProcess, guilder_process
from tests.support.payers import PASSWORD, make_payers

EXAMPLES = int(os.environ.get("GUILDER_TEST_FUZZ_EXAMPLES", "3"))
UNFIT = ("positive_data_acceptance",)
"""A well-formed request may be refused for want of money, a friend or a gateway."""


@pytest.mark.timeout(900)
async def test_every_operation_keeps_to_its_document(tmp_path: Path) -> None:
    async with guilder_process() as guilder:
        [person] = await make_payers(guilder.host, guilder.port, 1)
        operator = await _operator(guilder)
        operations, requests = await _fuzz(guilder, person.authorization, tmp_path)
        assert operations == await _documented(guilder)
        assert requests > 20 * operations
        # To people who are not staff, these are all forbidden, whatever is asked.
        operations, requests = await _fuzz(guilder, operator, tmp_path, only="^/v1/admin/")
        assert operations
        assert requests > 20 * operations


async def _operator(guilder: GuilderProcess) -> str:
    """Return what an operator sends as `Authorization`."""
    person = {"email": "operator@example.com", "password": PASSWORD}
    async with guilder.wire() as wire:
        await wire.ask("POST", "/v1/register", {"name": "Operator", **person})
        code, said = await guilder.command("users", "make-operator", person["email"])
        assert code == 0, said
        return f"Bearer {(await wire.ask('POST', '/v1/login', person)).json()['access_token']}"


async def _documented(guilder: GuilderProcess) -> int:
    async with guilder.wire() as wire:
        document = (await wire.ask("GET", "/openapi.json")).json()
    return sum(len(operations) for operations in document["paths"].values())


async def _fuzz(
    guilder: GuilderProcess, authorization: str, directory: Path, *, only: str = "."
) -> tuple[int, int]:
    """Try the operations whose paths match; return how many there were, and how many requests."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run"),
        f"http://{guilder.host}:{guilder.port}/openapi.json",
        *("--header", f"Authorization: {authorization}"),
        *("--include-path-regex", only),
        *("--checks", "all", "--exclude-checks", ",".join(UNFIT)),
        *("--max-examples", str(EXAMPLES), "--continue-on-failure", "--no-shrink", "--no-color"),
        *("--warnings", "off", "--suppress-health-check", "all"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=directory,
    )
    output, _ = await process.communicate()
    report = output.decode()
    assert process.returncode == 0, report
    [operations], [requests] = (
        re.findall(pattern, report) for pattern in (r"Tested: (\d+)", r"(\d+) generated")
    )
    return int(operations), int(requests)
