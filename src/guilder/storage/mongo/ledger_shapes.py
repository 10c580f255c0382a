"""How the records of a book become documents and back, and what the server refuses by itself.

Amounts are BSON longs: a validator on each field keeps out the double and the int32 that a careless
update would turn one into. The validators are plain match expressions: MongoDB checks them at a
third of the cost of the same rules in `$jsonSchema`, which counts at thousands of documents a
batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from bson.int64 import Int64

from guilder.kernel.errors import InvalidRequest, check
from guilder.storage.indexes import INT64_MAX
from guilder.storage.records import (
    GENESIS,
    Account,
    Counted,
    Counter,
    Head,
    Hold,
    Leg,
    Total,
    TotalBy,
    Transfer,
    TransferKind,
)

Body = dict[str, Any]

_DIGEST = 32
_INT = {int}
_decode_counted = msgspec.json.Decoder(tuple[Counted, ...]).decode
_encode_counted = msgspec.json.Encoder().encode
_encode_metadata = msgspec.json.Encoder(order="deterministic").encode

_LONG = {"$type": "long"}
_COUNT = {"$type": "long", "$gte": 0}
_POSITIVE = {"$type": "long", "$gte": 1}
_ID = {"$type": "binData"}
_TIME = {"$type": "date"}
_SIDES = ("debit", "credit")
_LEG = ("sequence", "posted", "pending_in", "pending_out")

VALIDATORS: Mapping[str, Body] = {
    "head": {
        "$or": [
            {"_id": "pulse"},
            {
                "_id": "head",
                "position": _COUNT,
                "revision": _COUNT,
                "fence": _COUNT,
                "changed_at": _TIME,
                "hash": _ID,
            },
        ]
    },
    "accounts": {
        "_id": _ID,
        "posted": _LONG,
        "pending_in": _COUNT,
        "pending_out": _COUNT,
        "sequence": _COUNT,
        "no_overdraft": {"$type": "bool"},
        "is_frozen": {"$type": "bool"},
        "is_closed": {"$type": "bool"},
        "$and": [
            {
                "$or": [
                    {"no_overdraft": False},
                    {"$expr": {"$gte": ["$posted", "$pending_out"]}},
                ]
            },
            {"$or": [{"is_closed": False}, {"posted": 0, "pending_in": 0, "pending_out": 0}]},
        ],
    },
    # The first fields of a document are found first.
    "transfers": {
        "_id": _POSITIVE,
        "amount_minor": _POSITIVE,
        **{f"{side}_{field}": _LONG for side in _SIDES for field in _LEG},
        "kind": {"$gte": 1, "$lte": len(TransferKind)},
        "id": _ID,
        "fingerprint": _ID,
        "hash": _ID,
        "$expr": {"$ne": ["$debit_account_id", "$credit_account_id"]},
    },
    "holds": {
        "_id": _ID,
        "amount_minor": _POSITIVE,
        "remaining_minor": _COUNT,
        "$expr": {"$lte": ["$remaining_minor", "$amount_minor"]},
    },
    "counters": {"_id": _ID, "used": _COUNT},
}
"""By collection of a book."""

INDEXES: Mapping[str, tuple[tuple[tuple[str, ...], Body], ...]] = {
    "accounts": ((("owner",), {}),),
    "transfers": (
        (("id",), {"unique": True}),
        (("debit_account_id", "_id"), {}),
        (("credit_account_id", "_id"), {}),
    ),
    "holds": (
        (("expires_at", "_id"), {"partialFilterExpression": {"remaining_minor": {"$gt": 0}}}),
    ),
}
"""By collection: the fields of each index, and its options. A transfer's `_id` is its position."""


def long(value: int) -> Int64:
    """Return an int64 as BSON keeps it; a plain small int would become an int32."""
    check(type(value) is int, "amounts are integers")
    check(-INT64_MAX - 1 <= value <= INT64_MAX, "an integer is within int64")
    return Int64(value)


def head_body(head: Head) -> Body:
    """Return the fields of the head that a batch changes."""
    return {
        "position": long(head.position),
        "hash": head.hash,
        "revision": long(head.revision),
    }


def genesis_body() -> Body:
    """Return the head of an empty book, without its time."""
    return {"_id": "head", **head_body(GENESIS), "fence": long(0), "lease": None}


def head_of(body: Body) -> Head:
    """Return the head that a document holds."""
    return Head(int(body["position"]), body["hash"], int(body["revision"]))


def account_body(account: Account) -> Body:
    """Return an account as a document."""
    return {
        "_id": account.id,
        **balances_body(account),
        "no_overdraft": account.no_overdraft,
        "is_frozen": account.is_frozen,
        "is_closed": account.is_closed,
        "asset": account.asset,
        "code": account.code,
        "owner": account.owner,
        "created_at": account.created_at,
    }


def balances_body(account: Account) -> Body:
    """Return what changes about an account."""
    posted, pending_in, pending_out = account.posted, account.pending_in, account.pending_out
    sequence = account.sequence
    check({type(posted), type(pending_in), type(pending_out), type(sequence)} == _INT, "int64 only")
    return {
        "posted": Int64(posted),
        "pending_in": Int64(pending_in),
        "pending_out": Int64(pending_out),
        "sequence": Int64(sequence),
    }


def account_of(body: Body) -> Account:
    """Return the account that a document holds."""
    return Account(
        id=body["_id"],
        asset=body["asset"],
        code=body["code"],
        owner=body["owner"],
        no_overdraft=body["no_overdraft"],
        is_frozen=body["is_frozen"],
        is_closed=body["is_closed"],
        posted=int(body["posted"]),
        pending_in=int(body["pending_in"]),
        pending_out=int(body["pending_out"]),
        sequence=int(body["sequence"]),
        created_at=body["created_at"],
    )


def transfer_body(transfer: Transfer) -> Body:
    """Return a transfer as a document: the amounts first, and nothing for what it has not."""
    debit, credit = transfer.debit, transfer.credit
    check(type(transfer.amount_minor) is int, "amounts are integers")
    check(len(transfer.fingerprint) == len(transfer.hash) == _DIGEST, "a digest has 32 bytes")
    check(transfer.effective_at.tzinfo is not None, "a stored time is aware")
    _check_text(transfer.code)
    body: Body = {
        "_id": Int64(transfer.position),
        "amount_minor": Int64(transfer.amount_minor),
        "debit_sequence": Int64(debit.sequence),
        "debit_posted": Int64(debit.posted),
        "debit_pending_in": Int64(debit.pending_in),
        "debit_pending_out": Int64(debit.pending_out),
        "credit_sequence": Int64(credit.sequence),
        "credit_posted": Int64(credit.posted),
        "credit_pending_in": Int64(credit.pending_in),
        "credit_pending_out": Int64(credit.pending_out),
        "kind": int(transfer.kind),
        "id": transfer.id,
        "debit_account_id": transfer.debit_account_id,
        "credit_account_id": transfer.credit_account_id,
        "asset": transfer.asset,
        "code": transfer.code,
        "effective_at": transfer.effective_at,
        "created_at": transfer.created_at,
        "fingerprint": transfer.fingerprint,
        "hash": transfer.hash,
    }
    for field in ("group_id", "hold_id", "reverses_id", "expires_at"):
        value = getattr(transfer, field)
        if value is not None:
            body[field] = value
    if transfer.counted:
        body["counted"] = _encode_counted(transfer.counted).decode()
    if transfer.reference:
        _check_text(transfer.reference)
        body["reference"] = transfer.reference
    if transfer.metadata:
        # As text: a key with a dot or a dollar sign stays what it is.
        body["metadata"] = _metadata_text(transfer.metadata)
    return body


def _metadata_text(metadata: dict[str, str]) -> str:
    for key, value in metadata.items():
        _check_text(key)
        _check_text(value)
    return _encode_metadata(metadata).decode()


def _check_text(text: str) -> None:
    """Refuse what PostgreSQL cannot keep, so that both engines keep the same."""
    if "\0" in text:
        raise InvalidRequest("A text holds a NUL character, which is not stored.")


def transfer_of(body: Body) -> Transfer:
    """Return the transfer that a document holds."""
    return Transfer(
        position=int(body["_id"]),
        id=body["id"],
        kind=TransferKind(body["kind"]),
        debit_account_id=body["debit_account_id"],
        credit_account_id=body["credit_account_id"],
        amount_minor=int(body["amount_minor"]),
        asset=body["asset"],
        code=body["code"],
        group_id=body.get("group_id"),
        hold_id=body.get("hold_id"),
        reverses_id=body.get("reverses_id"),
        counted=_decode_counted(body["counted"]) if "counted" in body else (),
        expires_at=body.get("expires_at"),
        effective_at=body["effective_at"],
        created_at=body["created_at"],
        reference=body.get("reference", ""),
        metadata=msgspec.json.decode(body["metadata"]) if "metadata" in body else {},
        fingerprint=body["fingerprint"],
        debit=_leg(body, "debit"),
        credit=_leg(body, "credit"),
        hash=body["hash"],
    )


def _leg(body: Body, side: str) -> Leg:
    return Leg(*(int(body[f"{side}_{field}"]) for field in _LEG))


def hold_body(hold: Hold) -> Body:
    """Return a hold as a document."""
    return {
        "_id": hold.id,
        "debit_account_id": hold.debit_account_id,
        "credit_account_id": hold.credit_account_id,
        "asset": hold.asset,
        "amount_minor": long(hold.amount_minor),
        "remaining_minor": long(hold.remaining_minor),
        "expires_at": hold.expires_at,
    }


def hold_of(body: Body) -> Hold:
    """Return the hold that a document holds."""
    return Hold(
        id=body["_id"],
        debit_account_id=body["debit_account_id"],
        credit_account_id=body["credit_account_id"],
        asset=body["asset"],
        amount_minor=int(body["amount_minor"]),
        remaining_minor=int(body["remaining_minor"]),
        expires_at=body["expires_at"],
    )


def counter_body(counter: Counter) -> Body:
    """Return a counter as a document."""
    return {"_id": counter.id, "used": long(counter.used)}


def counter_of(body: Body) -> Counter:
    """Return the counter that a document holds."""
    return Counter(body["_id"], int(body["used"]))


def totals_steps(by: TotalBy) -> list[Body]:
    """Return the aggregation over accounts that makes `Total`s.

    As decimals: a sum of longs that leaves int64 becomes a double without a word.
    """
    return [
        {"$match": {"sequence": {"$gt": 0}}},
        {
            "$group": {
                "_id": {"asset": "$asset", "name": f"${by.value}"},
                "accounts": {"$sum": 1},
                **{
                    field: {"$sum": {"$toDecimal": f"${field}"}}
                    for field in ("posted", "pending_in", "pending_out")
                },
            }
        },
        {"$sort": {"_id.asset": 1, "_id.name": 1}},
    ]


def legs_steps(account_ids: Sequence[UUID], position: int, *, transfers: str) -> list[Body]:
    """Return the aggregation over accounts that finds their newest legs up to a position.

    Args:
        transfers: Name of the collection. Each side has an index of (account, position), which is
            read backwards for one entry.
    """
    return [
        {"$match": {"_id": {"$in": list(account_ids)}}},
        *(
            {
                "$lookup": {
                    "from": transfers,
                    "localField": "_id",
                    "foreignField": f"{side}_account_id",
                    "pipeline": [
                        {"$match": {"_id": {"$lte": long(position)}}},
                        {"$sort": {"_id": -1}},
                        {"$limit": 1},
                    ],
                    "as": side,
                }
            }
            for side in _SIDES
        ),
        {"$project": dict.fromkeys(_SIDES, 1)},
    ]


def legs_of(body: Body) -> tuple[UUID, Leg | None]:
    """Return the account of a document of `legs_steps`, and its newest leg if it has one."""
    found = [(each["_id"], _leg(each, side)) for side in _SIDES for each in body[side]]
    return body["_id"], max(found, key=lambda each: int(each[0]))[1] if found else None


def total_of(body: Body) -> Total:
    """Return the sums that a document of `totals_steps` holds."""
    return Total(
        asset=body["_id"]["asset"],
        name=body["_id"]["name"],
        accounts=int(body["accounts"]),
        posted=int(body["posted"].to_decimal()),
        pending_in=int(body["pending_in"].to_decimal()),
        pending_out=int(body["pending_out"].to_decimal()),
    )
