"""Faults that other ledgers and wallets really had, each with a test that keeps it from Guilder.

A test is named after its number in the list, and its docstring names the public source. What has
nothing to go wrong yet comes with its feature: R20 (a webhook sent although its address failed the
check) and R21 (addresses that slip through such a check) with outgoing webhooks, R32 (four eyes
that were one pair) with the operator's console. R1 and R2 are about refunds, which Guilder has not:
here they hold for reversals. R18 is about fees: here it holds for groups of transfers.
"""

import re
from pathlib import Path

COMING = {20, 21, 32}
LAST = 33
_TEST = re.compile(r"^async def test_r(\d\d)_|^def test_r(\d\d)_", re.MULTILINE)


def test_every_fault_of_the_list_has_its_test() -> None:
    here = Path(__file__).parent
    texts = [path.read_text() for path in sorted(here.glob("test_*.py"))]
    found = {int(a or b) for text in texts for a, b in _TEST.findall(text)}
    assert found == set(range(1, LAST + 1)) - COMING
