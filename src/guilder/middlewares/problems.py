"""Every error as RFC 9457 problem+json: the one place that gives a kind of error its status."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final

import msgspec
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guilder.kernel.errors import (
    FieldError,
    GuilderError,
    InvalidRequest,
    Kind,
    Malformed,
    NotFound,
    Unavailable,
)
from guilder.middlewares.errors import (
    BodyTooLarge,
    InternalError,
    MethodNotAllowed,
    UnsupportedMediaType,
)
from guilder.middlewares.validation import field_errors, is_json

MEDIA_TYPE: Final = "application/problem+json"
TYPE_BASE: Final = "https://guilder.dev/errors/"
RETRY_AFTER_S: Final = 1
"""What a retryable refusal suggests when it does not know better."""

STATUS: Final[Mapping[Kind, int]] = {
    Kind.MALFORMED: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.NOT_COVERED: 402,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.METHOD_NOT_ALLOWED: 405,
    Kind.CONFLICT: 409,
    Kind.EXPIRED: 410,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.INVALID: 422,
    Kind.FROZEN: 423,
    Kind.LIMITED: 429,
    Kind.INTERNAL: 500,
    Kind.UNAVAILABLE: 503,
}

_FRAMEWORK: Final[Mapping[int, type[GuilderError]]] = {
    400: Malformed,
    404: NotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
    422: InvalidRequest,
    503: Unavailable,
}
_PATH_MAX = 256
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger("guilder.problems")


def problem(error: GuilderError, scope: Scope) -> dict[str, Any]:
    """Return the body that says what went wrong.

    Returns:
        `type`, `title`, `status`, `code`, `detail`, `instance`, `request_id`,
        `retryable`, `errors` if fields are at fault, and what the error itself adds.
    """
    body: dict[str, Any] = {
        "type": TYPE_BASE + error.code,
        "title": error.title,
        "status": STATUS[error.kind],
        "code": error.code,
        "detail": error.detail,
        "instance": _readable(scope["path"][:_PATH_MAX]),
        "request_id": scope.get("state", {}).get("request_id", ""),
        "retryable": error.retryable,
    }
    if error.fields:
        body["errors"] = [
            {"pointer": _readable(f.pointer), "code": f.code, "detail": _readable(f.detail)}
            for f in error.fields
        ]
    for name, value in error.extension.items():
        body.setdefault(name, value)
    return body


def render(error: GuilderError, request: Request | Scope) -> Response:
    """Answer an error. For the routes that handle their own errors; all others just raise.

    Args:
        error: Any error of the tree.
        request: The request, or its ASGI scope.
    """
    scope = request.scope if isinstance(request, Request) else request
    return Response(
        _encode(problem(error, scope)),
        status_code=STATUS[error.kind],
        headers=_headers(error),
        media_type=MEDIA_TYPE,
    )


def _headers(error: GuilderError) -> dict[str, str]:
    """Return the headers that belong to a kind of error."""
    headers = {"Cache-Control": "no-store"}
    if error.kind is Kind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    elif error.kind in {Kind.LIMITED, Kind.UNAVAILABLE}:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return headers


def _readable(text: str) -> str:
    """Replace lone surrogates, which JSON can carry in and UTF-8 cannot carry out."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def from_framework(error: HTTPException, scope: Scope) -> Response:
    """Answer an error that the framework raised itself, such as 404 and 405."""
    if error.status_code < 400:  # noqa: PLR2004 - a redirect or 304 is no problem
        return Response(status_code=error.status_code, headers=error.headers)
    rule = _FRAMEWORK.get(error.status_code, InternalError)
    response = render(rule(), scope)
    if error.status_code == 405:  # noqa: PLR2004
        response.headers["Allow"] = ", ".join(_methods_of(scope))
    return response


def _methods_of(scope: Scope) -> list[str]:
    """Return every method of a path: the framework names those of its first route alone."""
    routes = list(iter_route_contexts(scope["app"].routes))
    path = next(route.path for route in routes if route.matches(scope)[0] is not Match.NONE)
    return sorted(
        {method for route in routes if route.path == path for method in route.methods or ()}
    )


def from_validation(error: RequestValidationError, request: Request) -> Response:
    """Answer a request whose fields are not as declared.

    The order is fixed: unreadable JSON, then a wrong media type, then the fields.
    """
    errors = error.errors()
    if any(each["type"] == "json_invalid" for each in errors):
        return render(Malformed("The body is not valid JSON."), request)
    has_body = any(each["loc"][:1] == ("body",) for each in errors)
    if has_body and isinstance(error.body, bytes) and not is_json(request.headers):
        return render(UnsupportedMediaType("Send the body as application/json."), request)
    return render(InvalidRequest(fields=field_errors(errors)), request)


def internal(error: Exception, scope: Scope) -> Response:
    """Record an error that nobody expected, and answer without a word about it."""
    request_id = scope.get("state", {}).get("request_id", "")
    _log.error("unexpected error", request_id=request_id, exc_info=error)
    return render(InternalError("The error was recorded under the request id."), scope)


def answer(error: Exception, scope: Scope) -> Response:
    """Answer any exception that reached the outermost layer."""
    if isinstance(error, GuilderError):
        if error.kind is Kind.INTERNAL:
            return internal(error, scope)
        return render(error, scope)
    if isinstance(error, HTTPException):
        return from_framework(error, scope)
    return internal(error, scope)


class ProblemsMiddleware:
    """Turns what no route handled into an answer.

    Invariants:
        Exactly one answer is sent. If one had begun already, the exception goes
        on to the server, which closes the connection: half an answer never looks
        like a whole one.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and catch what comes back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        def note_and_send(message: Message) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        try:
            await self.app(scope, receive, note_and_send)
        except ClientDisconnect:
            return  # Nobody is left to answer.
        except asyncio.CancelledError:
            # A server that stops cancels what it can wait for no longer.
            if not started:
                error = Unavailable("Guilder is shutting down.", retry_after_s=1)
                await render(error, scope)(scope, receive, send)
            raise
        except Exception as error:
            if started:
                raise
            response = answer(error, scope)
            await response(scope, receive, send)


def install(app: FastAPI) -> None:
    """Have the framework answer its own errors, and ours, as problems."""
    app.add_exception_handler(GuilderError, _on_any)
    app.add_exception_handler(HTTPException, _on_any)
    app.add_exception_handler(RequestValidationError, _on_validation)


async def _on_any(request: Request, error: Exception) -> Response:
    """Answer ours and the framework's errors."""
    return answer(error, request.scope)


async def _on_validation(request: Request, error: Exception) -> Response:
    """Answer fields that are not as declared."""
    if isinstance(error, RequestValidationError):
        return from_validation(error, request)
    return internal(error, request.scope)


def error_responses(*errors: type[GuilderError]) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says about these errors: by status, with one example per code.

    >>> error_responses(NotFound)[404]["description"]
    'Not found'
    """
    by_status: dict[int, list[type[GuilderError]]] = {}
    for error in sorted(errors, key=lambda each: each.code):
        by_status.setdefault(STATUS[error.kind], []).append(error)
    return {status: _described(rules) for status, rules in sorted(by_status.items())}


def _described(rules: Iterable[type[GuilderError]]) -> dict[str, Any]:
    """Describe the errors of one status."""
    rules = list(rules)
    examples = {rule.code: {"summary": rule.title, "value": _example(rule)} for rule in rules}
    return {
        "description": "; ".join(dict.fromkeys(rule.title for rule in rules)),
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
        },
    }


def _example(rule: type[GuilderError]) -> dict[str, Any]:
    """Return the body of one error as it looks on the wire."""
    fields: tuple[FieldError, ...] = ()
    if rule is InvalidRequest:
        fields = (FieldError("/amount", "out_of_range", "Input should be greater than 0"),)
    # The rule's own constructor may want data that only a real case has.
    error = GuilderError.__new__(rule)
    GuilderError.__init__(error, fields=fields, extension=rule.extension_example)
    scope = {"path": "/v1/...", "state": {"request_id": "req_01h2xcejqtf2nbrexx3vqjhp41"}}
    return problem(error, scope)


PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "RFC 9457 problem details. `code` is stable; `detail` is for people.",
    "type": "object",
    "required": [
        "type",
        "title",
        "status",
        "code",
        "detail",
        "instance",
        "request_id",
        "retryable",
    ],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Page about this error."},
        "title": {"type": "string"},
        "status": {"type": "integer", "description": "The HTTP status."},
        "code": {"type": "string", "description": "The broken rule, snake_case, stable."},
        "detail": {"type": "string", "description": "A sentence for people."},
        "instance": {"type": "string", "description": "Path of the request."},
        "request_id": {"type": "string", "description": "The same as the `Request-Id` header."},
        "retryable": {
            "type": "boolean",
            "description": "The same request, under the same idempotency key, may succeed later.",
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "RFC 6901 pointer into the body; a parameter is "
                        "`/query/name`, `/path/name` or `/header/name`.",
                    },
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
        "challenge": {
            "type": "object",
            "description": "What to prove first, at `/v1/auth/challenges/{id}/verify`.",
            "required": ["id", "purpose", "operation", "methods", "expires_at"],
            "properties": {
                "id": {"type": "string"},
                "purpose": {"type": "string", "enum": ["sign_in", "step_up"]},
                "operation": {"type": "string", "description": "What it is asked for."},
                "methods": {"type": "array", "items": {"type": "string"}},
                "expires_at": {"type": "string", "format": "date-time"},
            },
        },
    },
}
