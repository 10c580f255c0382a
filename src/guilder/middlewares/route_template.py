"""The path of a request as its route declares it, so that ids never become labels or log fields."""

from starlette.types import Scope

UNMATCHED = "unmatched"


def route_template(scope: Scope) -> str:
    """Return `/v1/payments/{payment_id}` for `/v1/payments/payment_01h...`.

    A request that no route took is `unmatched`: its path is whatever a stranger typed.
    """
    if "endpoint" not in scope:
        return UNMATCHED
    path: str = scope["path"]
    parameters = scope.get("path_params")
    if not parameters:
        return path
    names = {str(value): name for name, value in parameters.items()}
    parts = path.split("/")
    if not names.keys() <= set(parts):
        return UNMATCHED
    return "/".join("{" + names[part] + "}" if part in names else part for part in parts)
