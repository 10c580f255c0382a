"""How a transfer looks from each side."""

import pytest

from guilder.storage.records import Leg, TransferKind
from guilder.wallets.rules import (
    HISTORY_KINDS,
    KINDS_BY_STATUS,
    TransactionStatus,
    TransactionType,
    line,
)
from tests.support.books import account_id, stored_transfer

PAYER, PAYEE = account_id("payer"), account_id("payee")


def test_from_the_payers_side() -> None:
    seen = line(stored_transfer(), {PAYER, account_id("another of mine")})
    assert seen.type is TransactionType.DEBIT
    assert (seen.account_id, seen.counterparty_account_id) == (PAYER, PAYEE)
    assert seen.leg == Leg(1, 95, 0, 0)


def test_from_the_payees_side() -> None:
    seen = line(stored_transfer(), [PAYEE])
    assert seen.type is TransactionType.CREDIT
    assert (seen.account_id, seen.counterparty_account_id) == (PAYEE, PAYER)
    assert seen.leg == Leg(1, 5, 0, 0)


@pytest.mark.parametrize("kind", HISTORY_KINDS)
def test_only_a_hold_is_pending(kind: TransferKind) -> None:
    status = line(stored_transfer(kind), [PAYER]).status
    assert (status is TransactionStatus.PENDING) == (kind is TransferKind.HOLD)
    assert kind in KINDS_BY_STATUS[status]


def test_every_kind_but_a_release_is_history_under_one_status() -> None:
    assert sorted(HISTORY_KINDS) == [kind for kind in TransferKind if kind.name != "RELEASE"]
    assert set(KINDS_BY_STATUS) == set(TransactionStatus)
