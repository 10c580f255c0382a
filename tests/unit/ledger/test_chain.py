"""The hash chain: written down independently, sensitive to every field, unambiguous."""

import hashlib
from datetime import timedelta, timezone
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from guilder.ledger.chain import chain_hash, encode
from guilder.storage.records import Counted, Leg, Transfer, TransferKind
from tests.support.books import NOON

FIRST = Transfer(
    position=7,
    id=UUID(int=1),
    kind=TransferKind.CAPTURE,
    debit_account_id=UUID(int=2),
    credit_account_id=UUID(int=3),
    amount_minor=2**63 - 1,
    asset="USD",
    code="transfer",
    group_id=UUID(int=4),
    hold_id=UUID(int=5),
    reverses_id=UUID(int=6),
    counted=(Counted(UUID(int=7), 8),),
    expires_at=NOON + timedelta(days=1),
    effective_at=NOON - timedelta(days=1),
    created_at=NOON,
    reference="gracht 1\u20ac",
    metadata={"b": "2", "a": 'q"\u00e9'},
    fingerprint=bytes(range(32)),
    debit=Leg(11, -(2**63), 12, 13),
    credit=Leg(14, 15, 16, 17),
    hash=b"",
)
KNOWN = "4410aaa4d7becc810ebeb19fa191cfc8d110b9d3c9845fbeac028ef2ff1ee3fb"
"""Never to change: books in the world were hashed so."""


def test_a_known_hash_stays() -> None:
    assert chain_hash(bytes(32), FIRST).hex() == KNOWN


def test_the_encoding_is_as_documented() -> None:
    def number(value: int) -> bytes:
        return value.to_bytes(8, "big", signed=True)

    noon = 1_769_860_800_000
    day = 86_400_000
    texts = [b"USD", b"transfer", "gracht 1\u20ac".encode(), '{"a":"q\\"\u00e9","b":"2"}'.encode()]
    expected = (
        b"\x01"
        + number(7)
        + b"\x03"
        + b"".join(map(number, (2**63 - 1, noon + day, noon - day, noon)))
        + b"".join(map(number, (11, -(2**63), 12, 13, 14, 15, 16, 17)))
        + b"".join(each.to_bytes(16, "big") for each in (1, 2, 3, 4, 5, 6))
        + bytes(range(32))
        + b"".join(len(text).to_bytes(4, "big") for text in texts)
        + (1).to_bytes(4, "big")
        + b"".join(texts)
        + (7).to_bytes(16, "big")
        + number(8)
    )
    assert encode(FIRST) == expected
    assert chain_hash(b"p" * 32, FIRST) == hashlib.sha256(b"p" * 32 + expected).digest()


def test_what_is_not_given_is_written_down_too() -> None:
    bare = replace(FIRST, group_id=None, hold_id=None, expires_at=None, metadata={}, counted=())
    encoded = encode(bare)
    assert (-1).to_bytes(8, "big", signed=True) in encoded
    assert encoded.endswith(b"{}")


@pytest.mark.parametrize(
    "change",
    [
        {"position": 8},
        {"id": UUID(int=9)},
        {"kind": TransferKind.PARTIAL_CAPTURE},
        {"debit_account_id": UUID(int=9)},
        {"credit_account_id": UUID(int=9)},
        {"debit_account_id": UUID(int=3), "credit_account_id": UUID(int=2)},
        {"amount_minor": 2**63 - 2},
        {"asset": "USE"},
        {"code": "transfes"},
        {"group_id": None},
        {"group_id": UUID(int=5), "hold_id": UUID(int=4)},
        {"hold_id": None},
        {"reverses_id": None},
        {"counted": ()},
        {"counted": (Counted(UUID(int=7), 9),)},
        {"counted": (Counted(UUID(int=9), 8),)},
        {"expires_at": None},
        {"expires_at": NOON},
        {"effective_at": NOON},
        {"created_at": NOON + timedelta(milliseconds=1)},
        {"reference": ""},
        {"metadata": {}},
        {"metadata": {"b": "2"}},
        {"metadata": {"a": "2", "b": 'q"\u00e9'}},
        {"fingerprint": bytes(32)},
        *({"debit": replace(FIRST.debit, **{name: 99})} for name in Leg.__struct_fields__),
        *({"credit": replace(FIRST.credit, **{name: 99})} for name in Leg.__struct_fields__),
        {"debit": FIRST.credit, "credit": FIRST.debit},
    ],
    ids="-".join,
)
def test_every_field_counts(change: dict[str, Any]) -> None:
    assert chain_hash(bytes(32), replace(FIRST, **change)) != chain_hash(bytes(32), FIRST)


def test_every_field_is_tried_above() -> None:
    tried = set(Transfer.__struct_fields__) - {"hash"}
    marks = next(mark for mark in test_every_field_counts.pytestmark if mark.name == "parametrize")
    assert {name for change in marks.args[1] for name in change} == tried


def test_the_hash_before_counts() -> None:
    assert chain_hash(bytes(32), FIRST) != chain_hash(b"\x01" + bytes(31), FIRST)


def test_its_own_hash_does_not() -> None:
    assert encode(replace(FIRST, hash=b"x" * 32)) == encode(FIRST)


def test_the_order_of_metadata_does_not() -> None:
    names = ("z", "aa", "b", "\u00e9")
    encodings = {
        encode(replace(FIRST, metadata=dict.fromkeys(order, "v"))) for order in permutations(names)
    }
    assert len(encodings) == 1


def test_texts_cannot_flow_into_one_another() -> None:
    ways = [
        {"asset": asset, "code": code, "reference": reference}
        for asset, code, reference in (
            ("abc", "", ""),
            ("", "abc", ""),
            ("", "", "abc"),
            ("ab", "c", ""),
            ("a", "bc", ""),
            ("a", "b", "c"),
            ("", "ab", "c"),
        )
    ]
    assert len({encode(replace(FIRST, **way)) for way in ways}) == len(ways)


def test_an_instant_is_the_same_in_every_time_zone() -> None:

    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert encode(replace(FIRST, created_at=elsewhere)) == encode(FIRST)
