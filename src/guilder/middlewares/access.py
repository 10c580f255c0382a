"""What a route declares about who may use it: a mark on its endpoint, read when the app is made."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

_MARK: Final = "__guilder_access__"
PUBLIC: Final = "public"
"""The mark of what is for everybody, or checks its callers by itself."""

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


def marked(endpoint: _Endpoint, access: str) -> _Endpoint:
    """Note what an endpoint declares, and return it.

    Args:
        endpoint: The function behind a route.
        access: `PUBLIC`, or the permission that it asks for by itself.
    """
    setattr(endpoint, _MARK, access)
    return endpoint


def public(endpoint: _Endpoint) -> _Endpoint:
    """Declare that a route needs nobody to be signed in. Stands right above the function."""
    return marked(endpoint, PUBLIC)


def declared(endpoint: object) -> str | None:
    """Return what an endpoint was marked with."""
    access: str | None = getattr(endpoint, _MARK, None)
    return access
