"""Writes messages out: plain English, a text and a page for mail, one line for SMS."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from guilder.kernel.errors import check
from guilder.notifications.rules import TEMPLATES, is_link, one_line

_LINK: Final = "link"
_GAPS: Final = re.compile(r"\n{3,}")
_SHORT_MAX: Final = 480
"""Characters of an SMS, which is then sent in at most eight parts."""


def _environment(*, autoescape: bool) -> Environment:
    return Environment(
        loader=PackageLoader("guilder.notifications", "templates"),
        autoescape=autoescape,  # noqa: S701 - off for texts, which are no markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


# A text is no markup: `&` stays `&` there. The page has escaping on, always.
_TEXTS: Final = _environment(autoescape=False)
_PAGES: Final = _environment(autoescape=True)


@dataclass(frozen=True, slots=True)
class Written:
    """A message for people.

    Args:
        subject: One line.
        text: Lines, for mail programs that show no page.
        html: The page.
        short: One line, for SMS.
    """

    subject: str
    text: str
    html: str
    short: str


def write(template: str, values: Mapping[str, str], *, brand: str) -> Written:
    """Return a message written out.

    Args:
        template: One of `rules.TEMPLATES`.
        values: What it needs and may have; others are not shown.
        brand: What the service is called.

    Invariants:
        No value begins a line of its own, nor is read as markup. A link is one, of the web.

    Raises:
        InvariantViolation: There is no such template, or its link is none.
    """
    check(template in TEMPLATES, f"there is no template {template}")
    declared = TEMPLATES[template]
    names = [*(name for group in declared.needs for name in group), *declared.may]
    given = {name: _value(name, values.get(name, "")) for name in names}
    given["brand"] = one_line(brand)
    text = _loaded(_TEXTS, f"{template}.txt")
    return Written(
        subject=one_line(_block(text, "subject", given)),
        text=_GAPS.sub("\n\n", _block(text, "body", given).strip()) + "\n",
        html=_loaded(_PAGES, f"{template}.html").render(given),
        short=one_line(_block(text, "sms", given), longest=_SHORT_MAX),
    )


def _value(name: str, text: str) -> str:
    if name != _LINK:
        return one_line(text)
    check(not text or is_link(text), "a link is an address of the web")
    return text


@lru_cache
def _loaded(environment: Environment, name: str) -> Template:
    return environment.get_template(name)


def _block(template: Template, name: str, values: Mapping[str, str]) -> str:
    return "".join(template.blocks[name](template.new_context(dict(values))))
