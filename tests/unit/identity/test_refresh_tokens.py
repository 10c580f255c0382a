"""Refresh tokens: sealed, one line of successors, nothing to learn from the outside."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guilder.identity.refresh_tokens import RefreshToken, RefreshTokens
from guilder.kernel.ids import SessionId, new_id

TOKENS = RefreshTokens(b"pepper for tests, which has 32 bytes or more")
SESSION = SessionId(new_id("session"))


def test_written_and_read_again() -> None:
    token = TOKENS.first(SESSION)
    assert TOKENS.read(TOKENS.write(token)) == token
    assert (token.session_id, token.generation, len(token.secret)) == (SESSION, 1, 43)


def test_successor_is_always_the_same_and_always_new() -> None:
    token = TOKENS.first(SESSION)
    following = TOKENS.successor(token)
    assert following == TOKENS.successor(token)
    assert following.generation == 2
    assert len(following.secret) == 43
    assert following.secret != token.secret
    assert TOKENS.successor(following).secret not in {token.secret, following.secret}


def test_two_sessions_share_nothing() -> None:
    assert TOKENS.first(SESSION).secret != TOKENS.first(SESSION).secret


def test_another_key_reads_and_continues_nothing() -> None:
    other = RefreshTokens(b"another pepper, also 32 bytes or longer")
    token = TOKENS.first(SESSION)
    assert other.read(TOKENS.write(token)) is None
    assert other.successor(token) != TOKENS.successor(token)


def test_every_changed_character_is_noticed() -> None:
    text = TOKENS.write(TOKENS.first(SESSION))
    for place, character in enumerate(text):
        other = "a" if character != "a" else "b"
        assert TOKENS.read(text[:place] + other + text[place + 1 :]) is None, place


@pytest.mark.parametrize("text", ["", ".", "glr1....", "x" * 10_000, "\u00e4.\u00e4", "\ud800"])
def test_what_is_no_token(text: str) -> None:
    assert TOKENS.read(text) is None


@given(st.text(alphabet=string.printable + "\u00e4", max_size=220))
def test_any_text_gets_an_answer(text: str) -> None:
    assert TOKENS.read(text) is None


def test_a_sealed_text_of_another_shape_is_no_token() -> None:
    for body in (b"glr1.a.1", b"glr2.a.1.b", b"glr1.a.1.b.c"):
        assert TOKENS.read(f"{body.decode()}.{TOKENS._seal(body)}") is None


def test_secret_is_not_shown() -> None:
    token = RefreshToken(SESSION, 1, "secret-secret")
    assert "secret-secret" not in repr(token)
    assert "secret-secret" not in token.digest
