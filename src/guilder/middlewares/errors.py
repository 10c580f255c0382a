"""The rules of HTTP itself that a request may break, whatever route it asks for."""

from guilder.kernel.errors import GuilderError, Kind, Malformed

__all__ = [
    "BodyTooLarge",
    "InternalError",
    "Malformed",
    "MethodNotAllowed",
    "RateLimited",
    "UnsupportedMediaType",
]


class MethodNotAllowed(GuilderError):
    """The resource answers the methods that `Allow` lists, and no other."""

    code = "method_not_allowed"
    kind = Kind.METHOD_NOT_ALLOWED
    title = "Method not allowed"


class BodyTooLarge(GuilderError):
    """A request body stays within the limit."""

    code = "body_too_large"
    kind = Kind.TOO_LARGE
    title = "The request body is too large"


class UnsupportedMediaType(GuilderError):
    """A request body is `application/json`."""

    code = "unsupported_media_type"
    kind = Kind.UNSUPPORTED
    title = "The media type is not supported"


class RateLimited(GuilderError):
    """Nobody sends more requests than the published rate."""

    code = "rate_limited"
    kind = Kind.LIMITED
    title = "Too many requests"
    retryable = True


class InternalError(GuilderError):
    """The server keeps its own promises."""

    code = "internal"
    kind = Kind.INTERNAL
    title = "Internal error"
