"""What may go wrong between a gateway and us. The three must not be mixed up: refused, unclear, not
theirs.
"""

from guilder.kernel.errors import GuilderError, Kind, Unavailable


class GatewayUnclear(Unavailable):
    """The gateway answers in time and clearly. Otherwise the outcome is unknown, and stays so
    until it is fetched again; the same call under the same key is safe.
    """

    code = "gateway_unclear"
    title = "The gateway has not given a clear answer"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, retry_after_s=2)


class GatewayRefused(GuilderError):
    """The gateway accepts the request. A refusal is definite: nothing happened there.

    Args:
        failure_code: The gateway's reason, snake_case.
    """

    code = "gateway_refused"
    kind = Kind.INVALID
    title = "The gateway refused the request"

    def __init__(self, failure_code: str) -> None:
        super().__init__(f"The gateway refused the request: {failure_code}.")
        self.failure_code = failure_code


class GatewayUnknown(GuilderError):
    """A gateway is named by one of the names that this deployment has set up."""

    code = "gateway_unknown"
    kind = Kind.INVALID
    title = "There is no such gateway"


class WebhookSignatureInvalid(GuilderError):
    """A webhook is signed with a secret that the gateway and we share, and lately."""

    code = "webhook_signature_invalid"
    kind = Kind.MALFORMED
    title = "The signature of the webhook is not valid"
