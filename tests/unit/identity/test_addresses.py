"""Addresses and numbers of users: sealed, found by their indexes, and opened for their owner."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from guilder.identity.addresses import Addresses
from guilder.identity.models import User
from guilder.kernel.ids import WalletId
from guilder.vault.errors import SealBroken
from tests.support.identity import quick_vault

NOW = datetime(2026, 1, 31, tzinfo=UTC)
addresses = Addresses(quick_vault())


def bare(user_id: str = "user_1") -> User:
    return User(
        id=user_id,
        name="Payer",
        email=None,
        email_key=None,
        phone=None,
        password_hash="",
        wallet_id=WalletId("wallet_1"),
        created_at=NOW,
        updated_at=NOW,
    )


def test_the_owner_sees_what_nobody_else_reads() -> None:
    user = addresses.with_phone(addresses.with_email(bare(), "Payer@example.com"), "+12025550123")
    assert "example.com" not in repr(user)
    assert "2025550123" not in repr(user)
    record = addresses.record(user)
    assert (record.email, record.phone) == ("Payer@example.com", "+12025550123")
    assert (addresses.email_of(user), addresses.phone_of(user)) == (record.email, record.phone)
    assert user.email_key == addresses.email_key("PAYER@EXAMPLE.COM")
    assert user.phone_key == addresses.phone_key("+12025550123")


def test_who_has_none_has_no_index_either() -> None:
    user = addresses.with_phone(addresses.with_email(bare(), "payer@example.com"), "+12025550123")
    user = addresses.with_phone(addresses.with_email(user, None), None)
    assert user == bare()
    record = addresses.record(user)
    assert (record.email, record.phone) == (None, None)


def test_an_address_copied_to_another_user_does_not_open() -> None:
    owner = addresses.with_email(bare("user_1"), "payer@example.com")
    thief = replace(bare("user_2"), email=owner.email)
    with pytest.raises(SealBroken):
        addresses.record(thief)
    with pytest.raises(SealBroken):
        addresses.phone_of(replace(owner, phone=owner.email))
