"""Decisions of identity without I/O, clock or randomness: what a name, an address and a password
may be, and what a refresh token that comes in deserves.
"""

import unicodedata
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum

import email_validator
import phonenumbers
from zxcvbn import zxcvbn

from guilder.kernel.errors import FieldError

NAME_MAX = 200
"""Characters of a name."""
EMAIL_MAX = 254
"""Octets of an address that SMTP can carry (RFC 5321, erratum 1690)."""
PHONE_MAX = 32
"""Characters of a number as typed; E.164 itself has at most 16."""
PASSWORD_MAX = 1024
"""Characters of a password. Only a bound on work: nothing is cut off."""

NAME_ERROR = FieldError(
    "/name", "name_invalid", f"Give a name of 1 to {NAME_MAX} printable characters."
)
EMAIL_ERROR = FieldError(
    "/email", "email_invalid", "Give an e-mail address such as name@example.com."
)
PHONE_ERROR = FieldError(
    "/phone", "phone_invalid", "Give a phone number with its country code, such as +12025550123."
)

_GUESSED_LENGTH = 40
_GUESSED_SUBSTITUTES = 6
_SUBSTITUTES = frozenset("!$%(+0123456789<@[{|")
_WEAKEST_SCORE = 2
_BIDIRECTIONAL_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Turn(StrEnum):
    """What becomes of a refresh token that comes in."""

    ROTATE = "rotate"
    """It is the latest: replace it."""
    REPEAT = "repeat"
    """It was replaced a moment ago and the answer may have been lost: give the same successor."""
    REUSED = "reused"
    """It was replaced long ago: end the session."""
    INVALID = "invalid"
    """Its session is over."""


def refresh_turn(
    *,
    is_live: bool,
    generation: int,
    latest_generation: int,
    is_genuine: bool,
    since_rotation: timedelta,
    grace: timedelta,
) -> Turn:
    """Decide about a refresh token whose seal is ours.

    Args:
        is_live: The session has neither ended nor expired.
        generation: Of the token, from 1.
        latest_generation: Of the session's only valid token.
        is_genuine: The token, or for the one before the latest its successor, is the one on record.
        since_rotation: Time since the latest token was given out.
        grace: How long a lost answer may be asked for again.
    """
    if not is_live or generation > latest_generation:
        return Turn.INVALID
    if generation == latest_generation:
        return Turn.ROTATE if is_genuine else Turn.INVALID
    is_previous = generation == latest_generation - 1 and is_genuine
    return Turn.REPEAT if is_previous and since_rotation <= grace else Turn.REUSED


def normal_name(text: str) -> str | None:
    """Return a name in NFC with single spaces, or None if it is none.

    Invariants:
        No control, surrogate, private-use or unassigned character, no line separator, and nothing
        that turns the direction of the text around it (a name is shown next to amounts).
    """
    if any(_is_unprintable(character) for character in text):
        return None
    name = " ".join(unicodedata.normalize("NFC", text).split())
    return name if 0 < len(name) <= NAME_MAX else None


def normal_email(text: str) -> str | None:
    """Return an address as its owner writes it, but its domain in lower case, or None."""
    if len(text) > EMAIL_MAX or not _is_unicode(text):
        return None
    try:
        return email_validator.validate_email(text, check_deliverability=False).normalized
    except email_validator.EmailNotValidError:
        return None


def email_key(email: str) -> str:
    """Return what two spellings of one address have in common: case never tells users apart."""
    return unicodedata.normalize("NFC", email.casefold())


def normal_phone(text: str) -> str | None:
    """Return a number in E.164 (`+12025550123`), or None if no such number can exist."""
    if len(text) > PHONE_MAX or not _is_unicode(text):
        return None
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normal_password(text: str) -> str:
    """Return the form that is hashed: NFKC, so that one password typed on two keyboards is one."""
    return unicodedata.normalize("NFKC", text)


def is_password_usable(text: str) -> bool:
    """Tell whether a password can be checked at all: Unicode, and within the bound on work."""
    return 0 < len(text) <= PASSWORD_MAX and _is_unicode(text)


def password_problem(
    password: str, *, min_length: int, context: Iterable[str]
) -> FieldError | None:
    """Return why a new password is refused, or None if it will do.

    Args:
        password: As typed.
        min_length: In characters, after NFKC.
        context: Words an attacker tries first: the user's name, address, number.
    """
    if not _is_unicode(password):
        return _password_error(
            "password_invalid", "The password holds characters that are not text."
        )
    if len(password) > PASSWORD_MAX:
        return _password_error(
            "password_too_long", f"Use at most {PASSWORD_MAX} characters for the password."
        )
    normal = normal_password(password)
    if len(normal) < min_length:
        return _password_error(
            "password_too_short", f"Use at least {min_length} characters for the password."
        )
    return _guessable(normal, context)


def _guessable(password: str, context: Iterable[str]) -> FieldError | None:
    words = [part for word in context for part in (word, *word.replace("@", " ").split())]
    estimate = zxcvbn(
        _guessed_part(password), user_inputs=[word[:_GUESSED_LENGTH] for word in words]
    )
    if estimate["score"] >= _WEAKEST_SCORE:
        return None
    feedback = estimate["feedback"]
    reason = feedback["warning"] or "This password is easy to guess."
    advice = " ".join([reason, *feedback["suggestions"]])
    return _password_error("password_too_guessable", advice)


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


def _password_error(code: str, detail: str) -> FieldError:
    return FieldError("/password", code, detail)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_unprintable(character: str) -> bool:
    category = unicodedata.category(character)
    is_break = category in {"Zl", "Zp"}
    is_other = category.startswith("C") and category != "Cf"
    return is_break or is_other or character in _BIDIRECTIONAL_CONTROLS
