"""Rules about payments that a caller can break."""

from guilder.kernel.errors import GuilderError, Kind


class ReturnUrlInvalid(GuilderError):
    """A checkout sends the browser back to an absolute http or https address, or to none."""

    code = "return_url_invalid"
    kind = Kind.INVALID
    title = "The return address is not valid"
