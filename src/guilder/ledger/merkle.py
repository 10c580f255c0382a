"""A tree of hashes (RFC 9162, section 2.1): one root for many leaves, a short path for each.

Pure. A leaf and a node are hashed behind different bytes, so that neither passes for the other.
"""

import hashlib
from collections.abc import Sequence

from msgspec import Struct

_LEAF = b"\x00"
_NODE = b"\x01"


class Step(Struct, frozen=True):
    """One step from a leaf to the root: the neighbour's hash, and on which side it stands."""

    side: str
    hash: str
    """64 hexadecimal digits."""


def leaf(content: bytes) -> bytes:
    """Return the 32-byte hash of a leaf."""
    return hashlib.sha256(_LEAF + content).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root above leaves, of which there is at least one."""
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def path(leaves: Sequence[bytes], index: int) -> list[Step]:
    """Return the steps from the leaf at `index` to the root: no more than log2 of their number."""
    steps: list[Step] = []
    level = list(leaves)
    while len(level) > 1:
        neighbour = index ^ 1
        if neighbour < len(level):
            steps.append(Step("left" if neighbour < index else "right", level[neighbour].hex()))
        level, index = _above(level), index // 2
    return steps


def _above(level: Sequence[bytes]) -> list[bytes]:
    """Join neighbours. The last one of an odd number goes up as it is."""
    pairs = zip(level[::2], level[1::2], strict=False)
    joined = [hashlib.sha256(_NODE + left + right).digest() for left, right in pairs]
    return joined + list(level[-1:]) if len(level) % 2 else joined
