"""Keeps secrets and personal data out of the log, whoever wrote the line."""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

REDACTED: Final = "[redacted]"
_DEPTH_MAX: Final = 6

_SENSITIVE: Final = re.compile(
    r"pass(word|wd|phrase)|secret|token|authori[sz]ation|cookie|pepper|(signing|encryption)_key|api_?key|otp"
    r"|e_?mail|phone|card|pan$|cvv|cvc|iban|signature|database_url|dsn",
    re.IGNORECASE,
)
_URL_PASSWORD: Final = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]*(?=@)")
_EMAIL: Final = re.compile(r"[^\s@<>\"',;:=()]{1,64}@[^\s@<>\"',;:=()]{1,253}")
_JWT: Final = re.compile(r"eyJ[\w-]{5,}\.[\w-]+\.[\w-]*")
_API_KEY: Final = re.compile(r"(?<=glk_)(test|live)_[0-9A-Za-z]{8,}")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+")
_PHONE: Final = re.compile(r"\+[1-9][\d ()-]{6,18}\d")
_DIGITS: Final = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")
_LUHN_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace what must not be logged. A structlog processor.

    By name: passwords, secrets, tokens, e-mail addresses, phone and card numbers. By look, in
    any text: bearer tokens, JWTs, API keys, passwords in addresses, e-mail addresses,
    international phone numbers, and 13 to 19 digits with a right check digit, which is what a card
    number is.
    """
    for name, value in event.items():
        event[name] = _value(name, value, 0)
    return event


def redact_text(text: str) -> str:
    """Replace secrets and personal data inside one text."""
    if "@" in text:
        text = _URL_PASSWORD.sub(REDACTED, text)
        text = _EMAIL.sub(_keep_redacted, text)
    text = _JWT.sub(REDACTED, text)
    text = _API_KEY.sub(REDACTED, text)
    text = _BEARER.sub(REDACTED, text)
    text = _PHONE.sub(REDACTED, text)
    return _DIGITS.sub(_card, text)


def _value(name: str, value: object, depth: int) -> object:
    """Return a value of one name as it may be logged."""
    if value is None or isinstance(value, bool):
        return value
    if _SENSITIVE.search(name) or depth > _DEPTH_MAX:
        return REDACTED
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _value(str(key), each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value("", each, depth + 1) for each in value]
    return redact_text(str(value))


def _keep_redacted(match: re.Match[str]) -> str:
    """Replace an address; leave the host behind a password that was just replaced."""
    text = match.group()
    if text.startswith(REDACTED + "@") or "//" in text:
        return text
    return REDACTED


def _card(match: re.Match[str]) -> str:
    """Replace digits whose last is a right check digit (Luhn)."""
    digits = [int(character) for character in match.group() if character.isdigit()]
    doubled = sum(_LUHN_DOUBLED[digit] for digit in digits[-2::-2])
    return REDACTED if (sum(digits[-1::-2]) + doubled) % 10 == 0 else match.group()
