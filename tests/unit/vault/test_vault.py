"""The vault: what is sealed opens again, unchanged and in its place only."""

import string
from base64 import urlsafe_b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guilder.kernel.errors import InvariantViolation, Kind
from guilder.vault.errors import SealBroken
from guilder.vault.vault import Vault, VaultKey, context_of, derived_key
from tests.support.identity import INDEX_SECRET, VAULT_SECRET

OLD = VaultKey(VAULT_SECRET)
NEW = VaultKey(VAULT_SECRET[::-1])
PLACE = context_of("users", "user_1", "email")
TEXT = "payer@example.com"

vault = Vault([OLD], index_secret=INDEX_SECRET)
changed = Vault([NEW, OLD], index_secret=INDEX_SECRET)
without_old = Vault([NEW], index_secret=INDEX_SECRET)
anything = st.text(st.characters(codec=None))
"""Lone surrogates too: JSON can carry them."""


@given(text=anything, context=anything)
def test_what_is_sealed_opens_again(text: str, context: str) -> None:
    sealed = vault.seal(text, context=context)
    assert vault.open(sealed, context=context) == text
    assert sealed.isascii()
    assert not set(sealed) - {*string.ascii_letters, *string.digits, *"-_."}


def test_a_sealed_text_shows_nothing_of_the_text() -> None:
    one, other = vault.seal(TEXT, context=PLACE), vault.seal(TEXT, context=PLACE)
    assert one != other
    for part, same in zip(one.split("."), other.split("."), strict=True):
        assert (part == same) == (part in {"v1", OLD.key_id})
    assert TEXT.encode() not in b"".join(urlsafe_b64decode(f"{part}==") for part in one.split("."))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 20, 1000])
def test_sizes_are_as_documented(size: int) -> None:
    sealed = vault.seal("a" * size, context=PLACE)
    assert len(sealed) == 101 + -(-4 * (size + 28) // 3)


@given(place=st.integers(0), bit=st.integers(0, 6))
def test_asvs_11_3_2_any_flipped_bit_fails(place: int, bit: int) -> None:
    """Of the text, so that base64's spare bits and the separators are tried too."""
    sealed = vault.seal(TEXT, context=PLACE)
    at = place % len(sealed)
    flipped = sealed[:at] + chr(ord(sealed[at]) ^ 1 << bit) + sealed[at + 1 :]
    for act in (vault.open, changed.rewrap):
        with pytest.raises(SealBroken):
            act(flipped, context=PLACE)


@given(at=st.integers(0))
def test_whatever_is_cut_off_or_added_fails(at: int) -> None:
    sealed = vault.seal(TEXT, context=PLACE)
    cut = sealed[: at % len(sealed)]
    for broken in (cut, sealed + "=", sealed + "A", sealed + "\n", " " + sealed, sealed + "."):
        with pytest.raises(SealBroken):
            vault.open(broken, context=PLACE)


@given(text=anything)
def test_any_other_text_is_refused(text: str) -> None:
    for broken in (text, f"v1.{OLD.key_id}.{text}", f"v1.{OLD.key_id}.{text}.{text}"):
        with pytest.raises(SealBroken):
            vault.open(broken, context=PLACE)


def test_every_value_has_one_spelling_only() -> None:
    """The last character of a ciphertext has spare bits, which base64 would pass over."""
    sealed = vault.seal("ab", context=PLACE)
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    opened = []
    for last in alphabet:
        try:
            opened.append(vault.open(sealed[:-1] + last, context=PLACE))
        except SealBroken:
            continue
    assert opened == ["ab"]


@pytest.mark.parametrize(
    "elsewhere",
    [
        context_of("users", "user_1", "phone"),
        context_of("users", "user_2", "email"),
        context_of("drafts", "user_1", "email"),
        "",
    ],
)
def test_asvs_11_3_3_a_value_moved_elsewhere_does_not_open(elsewhere: str) -> None:
    sealed = vault.seal(TEXT, context=PLACE)
    for act in (vault.open, vault.rewrap):
        with pytest.raises(SealBroken):
            act(sealed, context=elsewhere)


def test_wrap_and_ciphertext_of_two_values_do_not_fit() -> None:
    one = vault.seal("one", context=PLACE).split(".")
    other = vault.seal("other", context=PLACE).split(".")
    with pytest.raises(SealBroken):
        vault.open(".".join([*one[:3], other[3]]), context=PLACE)


def test_asvs_11_3_4_no_two_seals_share_a_nonce_or_a_data_key() -> None:
    """They are random and twelve bytes long; this finds a constant, not a bad generator."""
    sealed = [vault.seal(TEXT, context=PLACE).split(".") for _ in range(500)]
    for part in (2, 3):
        assert len({each[part][:16] for each in sealed}) == len(sealed)


@given(text=anything)
def test_a_new_wrap_keeps_the_ciphertext(text: str) -> None:
    sealed = vault.seal(text, context=PLACE)
    again = changed.rewrap(sealed, context=PLACE)
    before, after = sealed.split("."), again.split(".")
    assert before[3] == after[3]
    assert before[1:3] != after[1:3]
    assert without_old.open(again, context=PLACE) == text
    assert (changed.is_current(sealed), changed.is_current(again)) == (False, True)
    with pytest.raises(SealBroken):
        vault.open(again, context=PLACE)
    with pytest.raises(SealBroken):
        without_old.open(sealed, context=PLACE)


def test_under_two_keys_the_first_seals_and_both_open() -> None:
    sealed = changed.seal(TEXT, context=PLACE)
    assert sealed.split(".")[1] == NEW.key_id != OLD.key_id
    assert changed.open(sealed, context=PLACE) == without_old.open(sealed, context=PLACE) == TEXT
    assert changed.open(vault.seal(TEXT, context=PLACE), context=PLACE) == TEXT


def test_the_key_s_name_cannot_be_exchanged() -> None:
    _, _, wrapped, box = vault.seal(TEXT, context=PLACE).split(".")
    with pytest.raises(SealBroken):
        changed.open(f"v1.{NEW.key_id}.{wrapped}.{box}", context=PLACE)


def test_what_is_no_sealed_text_is_neither_current_nor_outdated() -> None:
    for text in ("", TEXT, "v1.x.y", "v2.a.b.c"):
        with pytest.raises(SealBroken):
            vault.is_current(text)


@given(value=anything)
def test_equal_values_have_equal_indexes_whatever_the_key(value: str) -> None:
    index = vault.blind_index("users.email", value)
    assert index == changed.blind_index("users.email", value)
    assert len(index) == 64
    assert index != vault.blind_index("users.phone", value)
    assert index != vault.blind_index("users.email", value + "x")
    assert index != Vault([OLD], index_secret=VAULT_SECRET).blind_index("users.email", value)


def test_secrets_are_long_and_never_shown() -> None:
    with pytest.raises(InvariantViolation):
        VaultKey(b"x" * 31)
    with pytest.raises(InvariantViolation):
        Vault([], index_secret=INDEX_SECRET)
    with pytest.raises(InvariantViolation):
        Vault([OLD], index_secret=b"x" * 31)
    assert VAULT_SECRET.decode() not in repr(OLD)
    assert OLD.key not in {derived_key(VAULT_SECRET, "vault:key-id"), VAULT_SECRET}


def test_contexts_are_unambiguous() -> None:
    assert context_of("a", "b/c", "d") == "a/b/c/d"
    for collection, field in (("a/b", "d"), ("a", "c/d")):
        with pytest.raises(InvariantViolation):
            context_of(collection, "b", field)


def test_a_broken_seal_is_our_fault_and_says_nothing() -> None:
    with pytest.raises(SealBroken) as caught:
        vault.open(TEXT, context=PLACE)
    assert (caught.value.code, caught.value.kind) == ("seal_broken", Kind.INTERNAL)
    assert TEXT not in str(caught.value)
