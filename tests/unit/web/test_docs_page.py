"""What the page at `/docs` can show: paragraphs, `code` and **bold**."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from guilder.app import create_app
from guilder.settings import Settings

SHOWN = re.compile(r"`[^`]+`|\*\*[^*]+\*\*")
MARKUP = re.compile(r"[*`]|\]\(|^\s*(?:[-+#>|]|\d+\.\s)", re.MULTILINE)


def unshown(text: str) -> list[str]:
    """Return the marks of Markdown that would stand on the page as they are."""
    return MARKUP.findall(SHOWN.sub("", text))


def descriptions(node: object) -> Iterator[str]:
    """Yield every description in a document."""
    if isinstance(node, dict):
        if isinstance(node.get("description"), str):
            yield node["description"]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from descriptions(each)


def test_descriptions_have_no_markup_that_the_page_does_not_show(tmp_path: Path) -> None:
    found = list(descriptions(create_app(Settings(data_directory=tmp_path)).openapi()))
    assert len(found) > 100
    assert [text for text in found if unshown(text)] == []


@pytest.mark.parametrize(
    "text",
    ["* one", "Two:\n\n- a\n- b", "# Head", "1. first", "[a](b)", "*so*", "`open", "| a |", "> b"],
)
def test_other_markup_is_found(text: str) -> None:
    assert unshown(text)
