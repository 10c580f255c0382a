"""bcrypt and argon2id behind one face: each hash is checked as it was made, at equal cost."""

import itertools

import argon2
import pytest

from guilder.identity import password_hashers
from guilder.identity.config import PasswordAlgorithm
from guilder.identity.password_hashers import PasswordHashers, algorithm_of, salt_of
from guilder.identity.passwords import Passwords
from guilder.kernel.errors import InvariantViolation
from guilder.settings import Settings
from tests.support.identity import quick_config

SECRET, OTHER = b"a" * 44, b"b" * 44
KINDS: tuple[PasswordAlgorithm, ...] = ("bcrypt", "argon2id")
PREVIOUS: tuple[PasswordAlgorithm | None, ...] = (None, *KINDS)


def made(current: PasswordAlgorithm, previous: PasswordAlgorithm | None = None) -> PasswordHashers:
    return PasswordHashers(current, previous=previous, bcrypt_cost=4, argon2_memory_kib=64)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> PasswordAlgorithm:
    chosen: PasswordAlgorithm = request.param
    return chosen


def test_a_hash_matches_its_secret_alone_whatever_is_set_today(kind: PasswordAlgorithm) -> None:
    stored = made(kind).hash(SECRET, salt=None)
    for current, previous in itertools.product(KINDS, PREVIOUS):
        hashers = made(current, previous)
        assert hashers.verify(SECRET, stored)
        assert not hashers.verify(OTHER, stored)
        assert hashers.hash(SECRET, salt=salt_of(stored)) == stored
        assert hashers.hash(OTHER, salt=salt_of(stored)) != stored
        assert hashers.needs_rehash(stored) is (current != kind)


def test_nobody_has_a_password(kind: PasswordAlgorithm) -> None:
    assert not made(kind).verify(SECRET, None)
    assert not made(kind).verify(SECRET, "")


def test_no_two_hashes_share_a_salt(kind: PasswordAlgorithm) -> None:
    hashers = made(kind)
    assert len({salt_of(hashers.hash(SECRET, salt=None)) for _ in range(16)}) == 16


def test_asvs_11_4_2_argon2id_is_what_others_call_so() -> None:
    hashers = PasswordHashers(
        "argon2id", previous=None, bcrypt_cost=4, argon2_memory_kib=quick_config().argon2_memory_kib
    )
    stored = hashers.hash(SECRET, salt=None)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert argon2.PasswordHasher().verify(stored, SECRET)


def test_asvs_11_4_2_another_cost_is_renewed() -> None:
    stored = made("argon2id").hash(SECRET, salt=None)
    other = PasswordHashers("argon2id", previous=None, bcrypt_cost=4, argon2_memory_kib=128)
    assert other.verify(SECRET, stored)
    assert other.needs_rehash(stored)


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> list[PasswordAlgorithm]:
    """Every hash that was computed, by its kind."""
    computed: list[PasswordAlgorithm] = []
    hashed = password_hashers._hashed

    def noted(secret: bytes, salt: str) -> str:
        computed.append(algorithm_of(salt))
        return hashed(secret, salt)

    monkeypatch.setattr(password_hashers, "_hashed", noted)
    return computed


@pytest.mark.parametrize("current", KINDS)
def test_asvs_6_3_8_every_check_costs_one_of_each_kind(
    current: PasswordAlgorithm, spent: list[PasswordAlgorithm]
) -> None:
    (previous,) = set(KINDS) - {current}
    hashers = made(current, previous)
    hashes = [made(kind).hash(SECRET, salt=None) for kind in KINDS]
    spent.clear()
    for stored in (None, *hashes):
        hashers.verify(SECRET, stored)
        assert sorted(spent) == sorted(KINDS)
        spent.clear()
        hashers.hash(SECRET, salt=stored and salt_of(stored))
        assert sorted(spent) == sorted(KINDS)
        spent.clear()


def test_one_kind_alone_costs_one_hash(
    kind: PasswordAlgorithm, spent: list[PasswordAlgorithm]
) -> None:
    made(kind).verify(SECRET, None)
    assert spent == [kind]


@pytest.mark.parametrize(
    "damaged",
    ["$argon2id$v=19$m=64,t=2,p=1$!!$x", "$argon2id$$x", "$argon2id$v=19$m=1,t=2,p=1$YQ$x"],
)
def test_a_damaged_hash_is_our_fault(damaged: str) -> None:
    with pytest.raises(InvariantViolation):
        made("bcrypt").verify(SECRET, damaged)


@pytest.mark.parametrize("hasher", KINDS)
async def test_asvs_6_2_8_nothing_is_cut_off(hasher: PasswordAlgorithm) -> None:
    passwords = Passwords(quick_config(password_hasher=hasher, argon2_memory_kib=64))
    try:
        stored = await passwords.hash("x" * 72 + "a")
        assert await passwords.verify("x" * 72 + "a", stored)
        assert not await passwords.verify("x" * 72 + "b", stored)
        assert not await passwords.verify("x" * 72, stored)
    finally:
        passwords.close()


@pytest.mark.parametrize(
    ("given", "previous"),
    [
        ({}, None),
        ({"password_hasher": "argon2id"}, "bcrypt"),
        ({"password_hasher": "argon2id", "password_hasher_previous": "none"}, None),
        ({"password_hasher_previous": "argon2id"}, "argon2id"),
    ],
    ids=str,
)
def test_whoever_changes_the_hasher_is_safe_without_another_setting(
    given: dict[str, str], previous: str | None
) -> None:
    assert Settings(**given).password_hasher_previous_kind == previous  # type: ignore[arg-type]
