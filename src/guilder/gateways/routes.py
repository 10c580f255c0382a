"""Where gateways send their webhooks. Not behind sign-in: the signature over the bytes is the
proof.
"""

from typing import cast

from fastapi import APIRouter, Request, Response

from guilder.gateways.errors import WebhookSignatureInvalid
from guilder.gateways.intake import WebhookIntake
from guilder.kernel.errors import NotFound, Unavailable
from guilder.middlewares.access import public
from guilder.middlewares.problems import error_responses

router = APIRouter(tags=["gateways"])


def _intake(request: Request) -> WebhookIntake:
    return cast("WebhookIntake", request.app.state.intake)


@router.post(
    "/gateways/{name}/webhook",
    status_code=200,
    response_class=Response,
    responses=error_responses(WebhookSignatureInvalid, NotFound, Unavailable),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
@public
async def receive_webhook(name: str, request: Request) -> Response:
    """Take a webhook of a gateway. 200 means: stored, need not be sent again."""
    raw_body = await request.body()
    await _intake(request).accept(name, request.headers, raw_body)
    return Response(status_code=200)
