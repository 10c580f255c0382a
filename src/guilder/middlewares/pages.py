"""Small pages for people: one template, one style sheet, no script. They load nothing."""

import hashlib
from base64 import b64encode
from importlib.resources import files
from typing import Final

from jinja2 import Environment

_CSS: Final = files("guilder.middlewares").joinpath("page.css").read_text(encoding="utf-8")
_CSS_HASH: Final = b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
_TEMPLATES: Final = Environment(autoescape=True)


class Page:
    """A page of a package.

    Args:
        package: Dotted name of the package that has the template.
        template: File name. It puts `{{ css|safe }}` into its one `style` element; all else that
            it is given is escaped.
    """

    def __init__(self, package: str, template: str) -> None:
        self._template = _TEMPLATES.from_string(
            files(package).joinpath(template).read_text(encoding="utf-8")
        )

    def render(
        self, values: dict[str, object], *, form_targets: str = "'none'"
    ) -> tuple[str, dict[str, str]]:
        """Return the page, and the headers that go with it beside those of every answer.

        Args:
            values: What the template names.
            form_targets: Sources, in the words of a content security policy, that a form of the
                page may be sent to or lead to.
        """
        html = self._template.render(css=_CSS, **values)
        return html, {
            "cache-control": "no-store",
            "content-security-policy": (
                f"default-src 'none'; style-src 'sha256-{_CSS_HASH}'; form-action {form_targets}; "
                "base-uri 'none'; frame-ancestors 'none'"
            ),
        }
