"""Where a checkout may send a browser afterwards. The text ends up in a redirect and in a policy
header.
"""

import re

_RETURN_URL = re.compile(
    r"(?P<origin>https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?)"
    r"(?:[/?#][!-\[\]-~]*)?"
)
_LENGTH_MAX = 2_000


def origin_of(return_url: str) -> str | None:
    """Return scheme, host and port of an absolute http or https address, or None if it is none.

    Invariants:
        What passes is printable ASCII without a backslash or user name, so it
        can split no header and mean one host only. The origin holds no
        character with a meaning in a content security policy.
    """
    match = _RETURN_URL.fullmatch(return_url)
    if match is None or len(return_url) > _LENGTH_MAX:
        return None
    return match["origin"]
