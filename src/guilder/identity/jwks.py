"""The public keys of access tokens, for whoever verifies them without asking us.

Source:
    RFC 7517 (key sets), RFC 8037 and RFC 9864 (Ed25519).
"""

import base64
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from guilder.identity.config import SigningKey
from guilder.middlewares.access import public

PATH: Final = "/.well-known/jwks.json"
_CACHED: Final = "public, max-age=300"


def key_set(keys: Sequence[SigningKey]) -> dict[str, list[dict[str, str]]]:
    """Return the public halves of the keys that have one: those of Ed25519.

    Args:
        keys: All that are accepted. Of a key for HS256 nothing is public.
    """
    return {"keys": [_public(key) for key in keys if key.algorithm == "Ed25519"]}


def jwks_route() -> Route:
    """Return the route that serves `app.state.key_set`."""
    return Route(PATH, _show, methods=["GET"], name="jwks")


@public
async def _show(request: Request) -> Response:
    return JSONResponse(
        request.app.state.key_set,
        headers={"Cache-Control": _CACHED},
        media_type="application/jwk-set+json",
    )


def _public(key: SigningKey) -> dict[str, str]:
    raw = Ed25519PrivateKey.from_private_bytes(key.key).public_key().public_bytes_raw()
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "Ed25519",
        "kid": key.kid,
        "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
    }
