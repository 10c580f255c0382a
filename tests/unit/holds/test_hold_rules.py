"""How a hold stands, from what the books say."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from guilder.holds.rules import CAPTURED, EXPIRED, RELEASED, HoldStatus, status_of
from guilder.storage.records import Hold
from tests.support.books import NOON, account_id, stored_transfer, transfer_id

HOLD = Hold(
    id=transfer_id("hold"),
    debit_account_id=account_id("payer"),
    credit_account_id=account_id("payee"),
    asset="USD",
    amount_minor=10,
    remaining_minor=10,
    expires_at=NOON,
)


@pytest.mark.parametrize(
    ("remaining", "ms", "code", "status"),
    [
        (10, -1, "", HoldStatus.HELD),
        (10, 0, "", HoldStatus.EXPIRED),
        (0, -1, "", HoldStatus.CAPTURED),
        (0, 1, "", HoldStatus.CAPTURED),
        (0, -1, RELEASED, HoldStatus.RELEASED),
        (0, 1, RELEASED, HoldStatus.RELEASED),
        (0, 1, EXPIRED, HoldStatus.EXPIRED),
    ],
)
def test_how_it_stands(remaining: int, ms: int, code: str, status: HoldStatus) -> None:
    release = replace(stored_transfer(), code=code) if code else None
    hold = replace(HOLD, remaining_minor=remaining)
    assert status_of(hold, release, now=NOON + timedelta(milliseconds=ms)) is status


def test_without_a_time_it_never_expires() -> None:
    hold = replace(HOLD, expires_at=None)
    assert status_of(hold, None, now=NOON + timedelta(days=9_999)) is HoldStatus.HELD


def test_the_codes_differ() -> None:
    assert len({CAPTURED, EXPIRED, RELEASED}) == 3
