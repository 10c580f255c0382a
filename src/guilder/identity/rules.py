"""Decisions of identity without I/O, clock or randomness: what a name and an address may be, and
what a refresh token that comes in deserves.
"""

import unicodedata
from datetime import timedelta
from enum import StrEnum

import email_validator
import phonenumbers

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
    if len(text) > EMAIL_MAX or not is_unicode(text):
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
    if len(text) > PHONE_MAX or not is_unicode(text):
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
    return 0 < len(text) <= PASSWORD_MAX and is_unicode(text)


def is_unicode(text: str) -> bool:
    """Tell whether a text has characters only: no halves of such, as JSON can carry."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_unprintable(character: str) -> bool:
    category = unicodedata.category(character)
    is_break = category in {"Zl", "Zp"}
    is_other = category.startswith("C") and category != "Cf"
    return is_break or is_other or character in _BIDIRECTIONAL_CONTROLS
