"""Reads the body of a hot route: what the framework does for the others, in a tenth of the time."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from guilder.kernel.errors import InvalidRequest
from guilder.middlewares.errors import UnsupportedMediaType
from guilder.middlewares.strict_json import check_json
from guilder.middlewares.validation import field_errors, is_json

M = TypeVar("M", bound=BaseModel)


async def read_json(request: Request, model: type[M]) -> M:
    """Return the body of a request as a model.

    Raises:
        UnsupportedMediaType: It is not declared to be JSON.
        Malformed: It is not unambiguous JSON.
        InvalidRequest: Its fields are not as declared.
    """
    body = await request.body()
    if not is_json(request.headers):
        raise UnsupportedMediaType("Send the body as application/json.")
    check_json(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InvalidRequest(fields=field_errors(error.errors())) from error
