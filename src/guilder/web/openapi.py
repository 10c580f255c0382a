"""The description of the API: what FastAPI derives, and what it cannot know."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from guilder.api_keys.errors import AddressNotAllowed, QuotaExceeded
from guilder.identity.cookies import ACCESS_COOKIE, CSRF_HEADER
from guilder.identity.errors import (
    CsrfRefused,
    Forbidden,
    SignedInWithoutSecondFactor,
    Unauthenticated,
)
from guilder.identity.roles import GRANTABLE, STAFF_ONLY
from guilder.kernel.errors import GuilderError, InvalidRequest, Unavailable
from guilder.middlewares.errors import (
    BodyTooLarge,
    InternalError,
    Malformed,
    RateLimited,
    UnsupportedMediaType,
)
from guilder.middlewares.problems import MEDIA_TYPE, PROBLEM_SCHEMA, error_responses

DESCRIPTION: Final = """\
A digital wallet and payments backend on strict double-entry books.

**Sign in.** `POST /v1/register`, then `POST /v1/login`; send
`Authorization: Bearer <access_token>`. Access tokens live minutes: `POST /v1/auth/refresh` makes
the next pair and turns the refresh token over; using an old one again ends the session. Pages in a
browser keep a session in cookies: `POST /v1/auth/cookie-session`, then `CSRF-Token` with every
request that changes something.

**API keys** are for programs: `POST /v1/api-keys` makes one with a part of your permissions, a
request quota and a money budget. Send it in the same header, as `Authorization: Bearer glk_...`.

**Money** is `{"amount": 1250, "currency": "USD"}`: whole minor units (cents here; yen have none,
Kuwaiti dinars have three digits) beside an ISO 4217 code, 1 to 9223372036854775807. Fractions and
strings are refused. JavaScript reads integers exactly up to 9007199254740991.

**Idempotency.** Send an `Idempotency-Key` of 1 to 255 printable ASCII characters with every POST;
on money it is required. The same key with the same request is answered with the same bytes and
`Idempotent-Replayed: true`; with another request it is a 422. Money keys never expire. A refusal
such as `insufficient_funds` is not stored: the same key is decided afresh.

**Errors** are `application/problem+json` (RFC 9457). Decide by `code`, which is stable; `detail`
is for people. `retryable: true` means the same request, under the same key, may succeed later;
wait for `Retry-After` seconds. `errors[]` points at fields (RFC 6901).

**Lists** come in pages: `{"data": [...], "has_more": true, "next_cursor": "..."}`. Send `cursor`
back with the same filters. Unknown request fields and query parameters are refused; tolerate
unknown fields in answers.

**Headers.** `Request-Id` comes back on every answer; send your own to find a request in your log
and ours. `RateLimit` and `RateLimit-Policy` tell how much is left.

The paths of wallets, transfers and sign-in (`/register`, `/login`, `/wallet`, `/wallet/...`,
`/transactions`) answer without `/v1` too.
"""
METHODS: Final = ("get", "post", "put", "patch", "delete")
_REQUEST_ID: Final = {
    "description": "Name of this request, in our log too.",
    "schema": {"type": "string"},
}
_COOKIE_SCHEME: Final = "CookieSession"
_COOKIES: Final = {
    "type": "apiKey",
    "in": "cookie",
    "name": ACCESS_COOKIE,
    "description": "Of `/v1/auth/cookie-session`, for pages in a browser. Whatever is no GET also "
    f"needs the header `{CSRF_HEADER}`.",
}
Document = dict[str, Any]


def describe(app: FastAPI, *, server: str, prefix: str) -> None:
    """Have `app.openapi()` return the whole description, made once.

    Args:
        server: Address of this server.
        prefix: The canonical prefix; the same path without it is an alias.
    """

    def openapi() -> Document:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                openapi_version=app.openapi_version,
                summary="Wallets, transfers, payments and payouts.",
                description=DESCRIPTION,
                routes=app.routes,
                servers=[{"url": server}],
                license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
            )
            _complete(document, prefix)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield every operation with its path and method."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _complete(document: Document, prefix: str) -> None:
    """Add what is true of every operation, and drop what is true of none."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = PROBLEM_SCHEMA
    document["components"].setdefault("securitySchemes", {})[_COOKIE_SCHEME] = _COOKIES
    for path, method, operation in operations(document):
        _name(path, operation, prefix)
        _add_errors(method, operation)
        _offer_cookies(operation)
        for response in operation["responses"].values():
            response.setdefault("headers", {})["Request-Id"] = _REQUEST_ID
    names = dict.fromkeys(
        tag for _, _, each in operations(document) for tag in each.get("tags", ())
    )
    document["tags"] = [{"name": name} for name in names]
    document["paths"] = dict(
        sorted(document["paths"].items(), key=lambda item: _place(item[0], prefix))
    )


def _place(path: str, prefix: str) -> tuple[bool, str]:
    """Return where a path stands: canonical ones first."""
    return not path.startswith(prefix), path


def _name(path: str, operation: Document, prefix: str) -> None:
    """Name an operation by its function, once; the alias at the root says that it is one."""
    name = operation.get("operationId", path).partition("|")[0]
    operation["operationId"] = name
    if not path.startswith(prefix):
        operation["operationId"] += "_alias"
        says = operation.get("description", "")
        operation["description"] = f"The same as `{prefix}{path}`.\n\n{says}".strip()


def _add_errors(method: str, operation: Document) -> None:
    """Add the errors that any request may meet, unless the route says more about that status."""
    common: list[type[GuilderError]] = [Malformed, RateLimited, InternalError, Unavailable]
    if operation.get("security"):
        common += [Unauthenticated, Forbidden]
    if operation.get("parameters") or "requestBody" in operation:
        common.append(InvalidRequest)
    if method != "get" and "requestBody" in operation:
        common += [BodyTooLarge, UnsupportedMediaType]
    responses = operation.setdefault("responses", {})
    given = responses.get("422", {}).get("content", {})
    if given and MEDIA_TYPE not in given:
        del responses["422"]  # FastAPI's own, which this API never sends.
    elif MEDIA_TYPE in given:
        given.pop("application/json", None)
    for status, response in error_responses(*common).items():
        known = responses.setdefault(str(status), response)
        if Forbidden.code not in _examples(known) and Forbidden.code in _examples(response):
            _examples(known).update(_examples(response))
            known["description"] += f"; {Forbidden.title}"
    for rule in _errors_of_credentials(method, operation):
        ((status, response),) = error_responses(rule).items()
        known = responses[str(status)]
        if rule.code not in _examples(known):
            _examples(known).update(_examples(response))
            known["description"] += f"; {rule.title}"
    _drop_default_content(responses)
    operation["responses"] = dict(sorted(responses.items()))


def _errors_of_credentials(method: str, operation: Document) -> list[type[GuilderError]]:
    """Return what the rules of keys, cookies and staff may refuse an operation with."""
    found: list[type[GuilderError]] = []
    if _needed(operation) & GRANTABLE:
        found += [AddressNotAllowed, QuotaExceeded]
    if _needed(operation) & STAFF_ONLY:
        found.append(SignedInWithoutSecondFactor)
    if method != "get" and operation.get("security"):
        found.append(CsrfRefused)
    return found


def _offer_cookies(operation: Document) -> None:
    """Say that a session in cookies is as good as a bearer token."""
    asked: list[Document] = operation.get("security", [])
    scopes = [scope for each in asked for scopes in each.values() for scope in scopes]
    if asked:
        asked.append({_COOKIE_SCHEME: scopes})


def _needed(operation: Document) -> set[str]:
    """Return the permission that an operation needs."""
    return {
        scope
        for each in operation.get("security", ())
        for scopes in each.values()
        for scope in scopes
    }


def _examples(response: Document) -> Document:
    """Return the examples of an error, by code."""
    found: Document = response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})
    return found


def _drop_default_content(responses: Document) -> None:
    """Errors come as problem+json only."""
    for response in responses.values():
        content = response.get("content", {})
        if MEDIA_TYPE in content:
            content.pop("application/json", None)
