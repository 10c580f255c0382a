"""What a new password may be. Pure, and offline: nothing is asked of anybody else.

No rule about kinds of characters (ASVS 6.2.5): they make passwords worse. Refused is what is short,
what is in the lists of leaked passwords that zxcvbn carries, what is made of the user's own name,
address or number, and what zxcvbn guesses easily.
"""

import re
from collections.abc import Iterable

from zxcvbn import zxcvbn
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from guilder.identity.rules import PASSWORD_MAX, is_unicode, normal_password
from guilder.kernel.errors import FieldError

_LEAKED = frozenset(FREQUENCY_LISTS["passwords"])
"""The 30,000 passwords that are found most often in lists of stolen ones."""
_DECORATION_MAX = 8
"""Digits and signs around a leaked password that guessing programs try: `Password2024!`."""
_OURS = ("guilder",)
_WORD_SHORTEST = 4
"""Shorter words of a context are parts of many others."""
_OWN_SHORTEST = 8
"""Characters of a password that are not the user's name, address or number."""
_WORDS = re.compile(r"[^\W_]+")

_GUESSED_LENGTH = 40
_GUESSED_SUBSTITUTES = 6
_SUBSTITUTES = frozenset("!$%(+0123456789<@[{|")
_WEAKEST_SCORE = 2


def password_problem(
    password: str, *, min_length: int, context: Iterable[str]
) -> FieldError | None:
    """Return why a new password is refused, or None if it will do.

    Args:
        password: As typed.
        min_length: In characters, after NFKC.
        context: Words an attacker tries first: the user's name, address, number.
    """
    if not is_unicode(password):
        return _error("password_invalid", "The password holds characters that are not text.")
    if len(password) > PASSWORD_MAX:
        return _error(
            "password_too_long", f"Use at most {PASSWORD_MAX} characters for the password."
        )
    normal = normal_password(password)
    if len(normal) < min_length:
        return _error(
            "password_too_short", f"Use at least {min_length} characters for the password."
        )
    words = _context_words(context)
    if is_leaked(normal):
        return _error(
            "password_leaked",
            "This password is in lists of stolen passwords, which are tried first. "
            "Three or four words that have nothing to do with each other are better.",
        )
    if _is_personal(normal, words):
        return _error(
            "password_personal",
            "This password is made of your name, address or number, or of ours. "
            "Three or four words that have nothing to do with you are better.",
        )
    return _guessable(normal, words)


def is_leaked(password: str) -> bool:
    """Tell whether a password is in the lists, whatever its case, also with digits around it."""
    plain = password.casefold()
    core = plain.strip("".join({each for each in plain if not each.isalpha()}))
    is_decorated = bool(core) and len(plain) - len(core) <= _DECORATION_MAX
    return plain in _LEAKED or (is_decorated and core in _LEAKED)


def _context_words(context: Iterable[str]) -> list[str]:
    """Return the words of a context in lower case, wholes and parts, the longest first."""
    wholes = [word.casefold() for word in (*context, *_OURS)]
    parts = [part for word in wholes for part in _WORDS.findall(word)]
    joined = ["".join(_WORDS.findall(word)) for word in wholes]
    return sorted({*wholes, *joined, *parts}, key=lambda word: (-len(word), word))


def _is_personal(password: str, words: Iterable[str]) -> bool:
    """Tell whether little is left of a password without the words of its context."""
    rest = password.casefold()
    length = len(rest)
    for word in words:
        if len(word) >= _WORD_SHORTEST:
            rest = rest.replace(word, "")
    return len(rest) < min(length, _OWN_SHORTEST)


def _guessable(password: str, words: Iterable[str]) -> FieldError | None:
    estimate = zxcvbn(
        _guessed_part(password), user_inputs=[word[:_GUESSED_LENGTH] for word in words]
    )
    if estimate["score"] >= _WEAKEST_SCORE:
        return None
    feedback = estimate["feedback"]
    reason = feedback["warning"] or "This password is easy to guess."
    advice = " ".join([reason, *feedback["suggestions"]])
    return _error("password_too_guessable", advice)


def _guessed_part(password: str) -> str:
    """Return what the strength of a password is estimated from.

    zxcvbn refuses more than 72 characters, and tries every reading of digits and signs as letters:
    72 mixed signs took 5 s. At 40 characters with at most 6 kinds of such signs it takes
    at most 70 ms; the other kinds are replaced by one that stands for no letter.
    """
    kinds: dict[str, None] = {}
    part = []
    for character in password[:_GUESSED_LENGTH]:
        if character in _SUBSTITUTES and len(kinds) < _GUESSED_SUBSTITUTES:
            kinds[character] = None
        is_extra = character in _SUBSTITUTES and character not in kinds
        part.append("~" if is_extra else character)
    return "".join(part)


def _error(code: str, detail: str) -> FieldError:
    return FieldError("/password", code, detail)
