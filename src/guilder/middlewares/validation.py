"""What pydantic says about a request, in Guilder's words: pointer, code, sentence."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.datastructures import Headers

from guilder.kernel.errors import FieldError

FIELDS_MAX: Final = 20
"""More would only help somebody who sends a million unknown fields."""
_SEGMENT_MAX = 64

_CODES: Final[Mapping[str, str]] = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "enum": "not_allowed",
    "literal_error": "not_allowed",
    "string_too_short": "wrong_length",
    "string_too_long": "wrong_length",
    "too_short": "wrong_length",
    "too_long": "wrong_length",
    "string_pattern_mismatch": "wrong_form",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "int_parsing_size": "out_of_range",
    "union_tag_invalid": "not_allowed",
    "union_tag_not_found": "required",
    "int_from_float": "wrong_type",
}


def field_errors(errors: Sequence[Mapping[str, Any]]) -> tuple[FieldError, ...]:
    """Translate pydantic's list, in its order, at most `FIELDS_MAX` of it."""
    return tuple(
        FieldError(
            pointer=_pointer(each["loc"]),
            code=_code(each["type"]),
            detail=str(each["msg"]).removeprefix("Value error, "),
        )
        for each in errors[:FIELDS_MAX]
    )


def _code(kind: str) -> str:
    """Return the stable word for one of pydantic's error types."""
    known = _CODES.get(kind)
    if known:
        return known
    if kind.endswith(("_type", "_parsing")):
        return "wrong_type"
    return "invalid"


def _pointer(location: Sequence[str | int]) -> str:
    """Write an RFC 6901 pointer. The body needs no prefix; parameters say where they are."""
    if location[:1] == ("body",):
        location = location[1:]
    return "".join("/" + _segment(str(part)) for part in location)


def _segment(text: str) -> str:
    """Escape one name of a pointer. Names come from the caller, so they are cut."""
    return text[:_SEGMENT_MAX].replace("~", "~0").replace("/", "~1")


def is_json(headers: Headers) -> bool:
    """Tell whether the body is declared to be JSON."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
