"""The rules of API keys that a request can break."""

from guilder.kernel.errors import GuilderError, Kind


class QuotaExceeded(GuilderError):
    """A key sends no more requests than its own quota. That is apart from the rate limits, which
    protect the server: waiting does not help before the quota begins anew.
    """

    code = "quota_exceeded"
    kind = Kind.LIMITED
    title = "The request quota of the API key is used up"
    retryable = True


class AddressNotAllowed(GuilderError):
    """A key that names addresses is used from there only."""

    code = "address_not_allowed"
    kind = Kind.FORBIDDEN
    title = "The API key may not be used from this address"


class TooManyApiKeys(GuilderError):
    """A user has so many keys at a time, and no more."""

    code = "too_many_api_keys"
    kind = Kind.CONFLICT
    title = "There are too many API keys"


class ApiKeyMade(GuilderError):
    """A key is shown once. The same request sent again cannot show it, so it makes none."""

    code = "api_key_already_made"
    kind = Kind.CONFLICT
    title = "The API key was made before"
