"""Every stored model has its place: what is kept about people is known, shown and erased."""

import typing
from pathlib import Path

import pytest

from guilder.app.features import MODELS
from guilder.identity.erasure import CLOSED_NAME, erased
from guilder.identity.models import User
from guilder.identity.roles import Role
from guilder.kernel.ids import UserId, WalletId
from guilder.privacy.holdings import APART, HOLDINGS, AtClosing, Holding
from guilder.storage.indexes import Indexes
from tests.support.holdings import NOON

TRANSIENT = {
    "challenges",
    "passkey_challenges",
    "outside_attempts",
    "outside_answers",
}
"""Have a user's id, hold secrets of something under way, and are gone after minutes."""


def test_every_stored_model_is_shown_or_says_why_not() -> None:
    placed = [each.model for each in HOLDINGS] + list(APART)
    assert len(placed) == len(set(placed)), "each model has one place"
    missing = {each.__name__ for each in set(MODELS) - set(placed)}
    assert not missing, f"privacy/holdings.py: say what becomes of {missing}"
    assert set(placed) <= set(MODELS)


def test_what_names_a_user_is_shown_to_that_user() -> None:
    for model in APART:
        hints = typing.get_type_hints(model)
        kinds = {UserId, WalletId, UserId | None, WalletId | None}
        if any(hint in kinds for hint in hints.values()):
            assert model.collection in TRANSIENT, model


@pytest.mark.parametrize("holding", HOLDINGS, ids=lambda each: str(each.section))
def test_what_is_shown_exists_and_is_found_by_an_index(holding: Holding) -> None:
    fields = set(holding.model.__struct_fields__)
    assert set(holding.shown) <= fields - {"id", "created_at", "version"}
    indexes = Indexes(holding.model)
    for look in holding.looks:
        if look.field != "id":
            names = {look.field, *(name for name, _ in look.also)}
            served = [*indexes.indexes, *indexes.unique]
            rest = () if look.order is None else (look.order,)
            assert any(
                set(each[: len(names)]) == names and each[len(names) :] == rest for each in served
            ), look


@pytest.mark.parametrize("holding", HOLDINGS, ids=lambda each: str(each.section))
def test_no_secret_is_shown(holding: Holding) -> None:
    words = {"hash", "token_hash", "password_hash", "secret", "digest", "fingerprint", "key"}
    for field in holding.shown:
        assert not words & {field, field.rpartition("_")[2]}, field


def test_sections_have_names_of_their_own_and_parents_come_first() -> None:
    names = [each.section for each in HOLDINGS]
    assert len(names) == len(set(names))
    assert not {"balances", "transactions", "format"} & set(names)
    for place, each in enumerate(HOLDINGS):
        assert each.parents is None or each.parents in names[:place]


def test_what_is_sealed_does_not_outlive_the_account() -> None:
    for each in HOLDINGS:
        if each.model.sealed:
            assert each.at_closing is not AtClosing.KEPT, each.section


def test_the_guide_says_what_becomes_of_everything() -> None:
    guide = (Path(__file__).resolve().parents[3] / "docs/guides/personal-data.md").read_text()
    rows = {
        line.split("|")[1].strip(): line.split("|")[3].strip()
        for line in guide.splitlines()
        if line.startswith("| `")
    }
    said = {f"`{each.section}`": each.at_closing.value for each in HOLDINGS}
    assert rows == {"`balances`, `transactions`": "kept", **said}


def test_an_erased_user_is_nobody() -> None:
    texts = {
        name: f"personal {name}"
        for name, hint in typing.get_type_hints(User).items()
        if hint in (str, str | None) and name not in ("id", "collection")
    }
    user = User(
        id="user_test",
        wallet_id=WalletId("wallet_test"),
        role=Role.OPERATOR,
        email_verified_at=NOON,
        phone_verified_at=NOON,
        created_at=NOON,
        updated_at=NOON,
        **texts,  # type: ignore[arg-type]
    )
    after = erased(user, at=NOON)
    assert "personal" not in repr(after)
    assert (after.name, after.role, after.closed_at) == (CLOSED_NAME, Role.USER, NOON)
    assert (after.email_key, after.phone_key, after.email_verified_at) == (None, None, None)
    assert after.credentials_version > user.credentials_version
    assert after.rights_version > user.rights_version
    assert (after.id, after.wallet_id, after.created_at) == (user.id, user.wallet_id, NOON)
