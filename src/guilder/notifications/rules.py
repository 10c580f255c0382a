"""Decisions about messages without I/O, clock or randomness: what a template needs, who may be
written to, how often, and when it is tried again.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import email_validator
import phonenumbers
from phonenumbers import PhoneNumberType

RETRY_AFTER: Final = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
)
"""After the first, second, ... failed attempt; the last one over and over."""
VALUE_MAX: Final = 200
"""Characters of a value in a message. Links may be longer."""
LINK_MAX: Final = 2_000
ADDRESS_MAX: Final = 254
"""Octets of an address that SMTP can carry (RFC 5321, erratum 1690)."""
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_COSTLY: Final = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
        PhoneNumberType.PAGER,
    }
)
"""Kinds of numbers that are nobody's telephone, and may cost whoever writes to them."""
_BLOCK_DIGITS: Final = 4
"""Last digits that differ within a block of numbers, as operators rent them out."""


@dataclass(frozen=True, slots=True)
class Template:
    """What one message is about.

    Args:
        needs: Values without which it says nothing: of each group, at least one.
        may: Further values that it shows when they are given.
    """

    needs: tuple[tuple[str, ...], ...] = ()
    may: tuple[str, ...] = ()


_WHERE = ("device", "place", "at")
TEMPLATES: Final[Mapping[str, Template]] = {
    "verify_email": Template((("link", "code"),), ("minutes",)),
    "verify_phone": Template((("code",),), ("minutes",)),
    "sign_up_attempt": Template(may=_WHERE),
    "sign_in_code": Template((("code",),), ("minutes", *_WHERE)),
    "password_reset": Template((("link", "code"),), ("minutes", *_WHERE)),
    "password_changed": Template(may=_WHERE),
    "email_changed_old": Template(may=("new_email", *_WHERE)),
    "email_changed_new": Template(may=_WHERE),
    "phone_changed": Template(may=("new_phone", *_WHERE)),
    "new_device": Template(may=_WHERE),
    "session_reuse": Template(may=_WHERE),
    "factor_added": Template(may=("factor", *_WHERE)),
    "factor_removed": Template(may=("factor", *_WHERE)),
    "way_in_added": Template(may=("way", *_WHERE)),
    "way_in_removed": Template(may=("way", *_WHERE)),
    "recovery_codes_used": Template(may=("left", *_WHERE)),
    "api_key_created": Template(may=("name", *_WHERE)),
    "passkey_copy_suspected": Template(may=_WHERE),
    "document_decided": Template((("outcome",),), ("tier", "at")),
    "account_closed": Template(may=("at",)),
}
"""Every message there is. `minutes` is for how long a code or link is good, `at` a time for people
to read, `new_email` and `new_phone` masked."""


def is_complete(template: str, values: Mapping[str, str]) -> bool:
    """Tell whether a template has all that it needs."""
    return all(any(values.get(name) for name in group) for group in TEMPLATES[template].needs)


def one_line(text: str, *, longest: int = VALUE_MAX) -> str:
    """Return a text that cannot begin a line, a header or a direction of writing of its own.

    Invariants:
        No control character, no line separator, no surrogate, nothing invisible that turns the
        text around it; at most `longest` characters.
    """
    kept = (" " if _breaks(character) else character for character in text)
    words = "".join(kept).split()
    line = " ".join(words)
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _breaks(character: str) -> bool:
    """Tell whether a character is more, or less, than something to read."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def is_link(text: str) -> bool:
    """Tell whether a text is an address of the web that can stand on a line of its own."""
    is_web = text.startswith(("https://", "http://"))
    return is_web and len(text) <= LINK_MAX and all("!" <= character <= "~" for character in text)


def refused_number(number: str, countries: Iterable[str]) -> str | None:
    """Return why a number is not written to, or None.

    Args:
        number: As the feature gave it.
        countries: ISO 3166 codes of those that are allowed; none given: all.
    """
    if not _E164.fullmatch(number):
        return "number_invalid"
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return "number_invalid"
    if not phonenumbers.is_valid_number(parsed):
        return "number_invalid"
    if phonenumbers.number_type(parsed) in _COSTLY:
        return "number_not_allowed"
    allowed = frozenset(countries)
    # By the number, not by its code: +1 alone belongs to two dozen countries.
    if allowed and phonenumbers.region_code_for_number(parsed) not in allowed:
        return "country_not_allowed"
    return None


@dataclass(frozen=True, slots=True)
class Address:
    """An e-mail address as mail servers take it.

    Args:
        text: With the domain in ASCII.
        needs_utf8: Its local part is not ASCII: only servers with SMTPUTF8 (RFC 6531) take it.
    """

    text: str
    needs_utf8: bool


def mail_address(text: str) -> Address | None:
    """Return the address to write to, or None if it is none. Lets no header or command through."""
    # RFC 2047 in an address is nobody's: in a header it would be read as what it stands for.
    if len(text) > ADDRESS_MAX or "=?" in text:
        return None
    try:
        found = email_validator.validate_email(text, check_deliverability=False)
    except (email_validator.EmailNotValidError, UnicodeError):
        return None
    address = f"{found.local_part}@{found.ascii_domain}"
    return Address(address, needs_utf8=not address.isascii())


@dataclass(frozen=True, slots=True)
class Limit:
    """A brake: so many messages in a time to whatever `counted` names.

    Args:
        counted: What is counted, such as a number; never logged.
        most: Messages within the window.
        window: Length of the window, which slides.
    """

    counted: str
    most: int
    window: timedelta


WINDOW: Final = timedelta(minutes=10)
NUMBER_MOST: Final = 3
"""Messages to one number in ten minutes: whoever needs more asks for the wrong thing."""
BLOCK_MOST: Final = 10
"""Messages to one block of ten thousand numbers: people do not live next to each other there, but
those who are paid for messages rent whole blocks."""
ADDRESS_MOST: Final = 10
"""E-mails to one address: more than a person can cause who changes everything at once."""


def number_limits(number: str, *, country_most: int) -> tuple[Limit, ...]:
    """Return the brakes of a number in E.164, the narrowest first."""
    region = phonenumbers.region_code_for_number(phonenumbers.parse(number, None))
    return (
        Limit(f"number {number}", NUMBER_MOST, WINDOW),
        Limit(f"block {number[:-_BLOCK_DIGITS]}", BLOCK_MOST, WINDOW),
        Limit(f"country {region}", country_most, WINDOW),
    )


def address_limits(address: str) -> tuple[Limit, ...]:
    """Return the brakes of an address. Case makes no other one."""
    return (Limit(f"address {address.casefold()}", ADDRESS_MOST, WINDOW),)


def room(
    sent: Mapping[str, datetime], slot: str, limit: Limit, now: datetime
) -> dict[str, datetime] | datetime:
    """Let a message through, or say when it may come again.

    Args:
        sent: What was let through, by slot.
        slot: Of this message. One that has its place already keeps it.

    Returns:
        What is then in the window, or when the next place becomes free.
    """
    within = {name: at for name, at in sent.items() if now - at < limit.window}
    if slot in within:
        return within
    if len(within) < limit.most:
        return {**within, slot: now}
    return sorted(within.values())[len(within) - limit.most] + limit.window


def next_attempt(now: datetime, *, attempts: int, ends_at: datetime) -> datetime | None:
    """Return when a message is tried again, or None if that would be too late.

    Args:
        attempts: How often it was tried, at least once.
    """
    due_at = now + RETRY_AFTER[min(attempts, len(RETRY_AFTER)) - 1]
    return due_at if due_at < ends_at else None
