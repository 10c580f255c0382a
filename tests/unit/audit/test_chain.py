"""The chain's encoding: written down once and for ever, and different for whatever differs."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from guilder.audit.chain import encode, seal_hash
from guilder.audit.models import GENESIS_HASH, AuditEvent

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
EVENT = AuditEvent(
    id="audit_01h2xcejqtf2nbrexx3vqjhp41",
    action="sign_in.refused",
    actor="unknown",
    subject="user_01h2xcejqtf2nbrexx3vqjhp42",
    outcome="refused",
    details={"reason": "password", "b": "2"},
    address=None,
    created_at=AT,
    updated_at=AT,
)


def test_the_encoding_is_the_one_that_is_written_down() -> None:
    """Whoever reads the documentation can check the chain without us."""
    written = (
        b'[1,7,"audit_01h2xcejqtf2nbrexx3vqjhp41",1769860800000,1769860801500,"sign_in.refused",'
        b'"unknown","user_01h2xcejqtf2nbrexx3vqjhp42","refused",null,'
        b'{"b":"2","reason":"password"}]'
    )
    sealed_at = AT + timedelta(seconds=1.5)
    assert encode(EVENT, position=7, sealed_at=sealed_at) == written
    expected = hashlib.sha256(bytes(32) + written).hexdigest()
    assert seal_hash(GENESIS_HASH, EVENT, position=7, sealed_at=sealed_at) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"id": "audit_01h2xcejqtf2nbrexx3vqjhp43"},
        {"created_at": AT + timedelta(milliseconds=1)},
        {"action": "sign_in.refuse"},
        {"actor": "system"},
        {"subject": "unknown"},
        {"outcome": "done"},
        {"address": "unknown"},
        {"details": {}},
        {"details": {"reason": "password", "b": "2", "c": ""}},
        {"details": {"reason": "2", "b": "password"}},
    ],
    ids=str,
)
def test_every_field_of_an_event_is_covered(change: dict[str, Any]) -> None:
    def hashed(event: AuditEvent) -> str:
        return seal_hash(GENESIS_HASH, event, position=1, sealed_at=AT)

    assert hashed(replace(EVENT, **change)) != hashed(EVENT)


def test_place_and_time_of_the_seal_and_what_came_before_are_covered() -> None:
    def hashed(previous: str = GENESIS_HASH, position: int = 1, after_ms: int = 0) -> str:
        sealed_at = AT + timedelta(milliseconds=after_ms)
        return seal_hash(previous, EVENT, position=position, sealed_at=sealed_at)

    found = [hashed(), hashed(position=2), hashed(after_ms=1), hashed("1" * 64)]
    assert len(set(found)) == len(found)


def test_details_in_another_order_are_the_same_details() -> None:
    turned = replace(EVENT, details=dict(reversed(EVENT.details.items())))
    assert encode(turned, position=1, sealed_at=AT) == encode(EVENT, position=1, sealed_at=AT)
