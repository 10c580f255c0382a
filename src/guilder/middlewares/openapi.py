"""OpenAPI fragments of the routes that read their own bodies."""

from typing import Any

from pydantic import BaseModel


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `requestBody` of a route that decodes `model` itself, with every part in place."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})
    return {
        "required": True,
        "content": {"application/json": {"schema": _inlined(schema, parts)}},
    }


def _inlined(node: object, parts: dict[str, Any]) -> object:
    if isinstance(node, list):
        return [_inlined(each, parts) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(parts[node["$ref"].rpartition("/")[2]], parts)
    return {name: _inlined(value, parts) for name, value in node.items()}
