"""What staff see of addresses and numbers: enough to recognise one, too little to use it.

ASVS 5.0 14.2.6: masked unless the whole is needed, and here it never is.
"""

from typing import Final

_HIDDEN: Final = "***"
_DIGITS_SHOWN: Final = 2


def masked_email(email: str) -> str:
    """Return an address with its first letter and its domain.

    >>> masked_email("payer@example.com")
    'p***@example.com'
    """
    local, at, domain = email.rpartition("@")
    return f"{local[:1]}{_HIDDEN}{at}{domain}"


def masked_phone(phone: str) -> str:
    """Return a number in E.164 with its last two digits.

    >>> masked_phone("+12025550123")
    '***23'
    """
    return _HIDDEN + phone[-_DIGITS_SHOWN:]
