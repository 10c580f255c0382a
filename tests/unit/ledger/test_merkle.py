"""A root stands for its leaves and their order; a path leads from any leaf to it."""

import hashlib

import pytest

from guilder.ledger import merkle

SIZES = range(1, 34)


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf(str(number).encode()) for number in range(count)]


def climb(leaf: bytes, path: list[merkle.Step]) -> bytes:
    node = leaf
    for step in path:
        other = bytes.fromhex(step.hash)
        pair = other + node if step.side == "left" else node + other
        node = hashlib.sha256(b"\x01" + pair).digest()
    return node


def rfc_root(level: list[bytes]) -> bytes:
    """Return the root as RFC 9162, 2.1.1, defines it: cut at the largest power of two."""
    if len(level) == 1:
        return level[0]
    cut = 1 << (len(level) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + rfc_root(level[:cut]) + rfc_root(level[cut:])).digest()


@pytest.mark.parametrize("count", SIZES)
def test_the_root_is_the_one_of_the_rfc(count: int) -> None:
    assert merkle.root(leaves(count)) == rfc_root(leaves(count))


@pytest.mark.parametrize("count", SIZES)
def test_every_leaf_has_a_short_path(count: int) -> None:
    tree = leaves(count)
    for index in range(count):
        path = merkle.path(tree, index)
        assert climb(tree[index], path) == merkle.root(tree)
        assert len(path) <= (count - 1).bit_length()


def test_every_leaf_and_its_place_count() -> None:
    tree = leaves(7)
    for index in range(6):
        swapped = [*tree[:index], tree[index + 1], tree[index], *tree[index + 2 :]]
        changed = [*tree[:index], merkle.leaf(b"another"), *tree[index + 1 :]]
        assert len({merkle.root(each) for each in (tree, swapped, changed, tree[:6])}) == 4


def test_a_node_does_not_pass_for_a_leaf() -> None:
    one, other = leaves(2)
    assert merkle.root([one, other]) != merkle.leaf(one + other)
