"""What may stand in an event. The shapes leave no room for what people type.

An address of mail has an `@`, a phone number a `+`, a name or a sentence a blank: none of these can
be recorded, so that a careless call fails in its first test, not in the record for ever.
"""

import re
from collections.abc import Mapping

from guilder.kernel.errors import check

UNKNOWN = "unknown"
"""Stands for whoever cannot be told, as an actor before the sign-in or the subject of a guess."""
SYSTEM = "system"
"""The actor of what Guilder does by itself."""

_ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_ID = re.compile(r"[A-Za-z0-9_-]+")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_VALUE = re.compile(r"[A-Za-z0-9_.:,/-]*")
_LONGEST = 200
_MOST_DETAILS = 16


def check_event(action: str, actor: str, subject: str, details: Mapping[str, str]) -> None:
    """Refuse an event that may hold personal data.

    Raises:
        InvariantViolation: The caller is wrong.
    """
    check(_fits(_ACTION, action), f"{action!r} is no action, like session.opened")
    # What is refused here may be personal, and the refusal ends in a log.
    check(_fits(_ID, actor), "an actor is an id or a word")
    check(_fits(_ID, subject), "a subject is an id or a word")
    check(len(details) <= _MOST_DETAILS, f"{action}: too many details")
    for key, value in details.items():
        check(_KEY.fullmatch(key), f"{action}: a detail's name is snake_case")
        check(_fits(_VALUE, value), f"{action}: the detail {key} is no word of ours")


def _fits(shape: re.Pattern[str], text: str) -> bool:
    return len(text) <= _LONGEST and shape.fullmatch(text) is not None
