"""The little of a browser that a checkout needs: find a button's form on a page, and submit it."""

from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx2
from msgspec import Struct, field

from guilder.cli.demo.failure import StoryStopped


class Form(Struct):
    """A form as it stands on a page."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str] | None] = field(default_factory=dict)
    """By what is written on it: the name and value it sends, if any."""


class FormReader(HTMLParser):
    """Collects the forms of one page with their hidden fields and buttons."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None
        self._sends: tuple[str, str] | None = None
        self._label: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a form or a button, or note a field."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(given.get("action", ""), given.get("method", "get").lower())
            self.forms.append(self._open)
        elif self._open is not None and tag == "input" and given.get("name"):
            self._open.fields[given["name"]] = given.get("value", "")
        elif self._open is not None and tag == "button":
            self._sends = (given["name"], given.get("value", "")) if given.get("name") else None
            self._label = []

    def handle_data(self, data: str) -> None:
        """Read what is written on the open button."""
        if self._label is not None:
            self._label.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Close a button or a form."""
        if tag == "button" and self._open is not None and self._label is not None:
            self._open.buttons[" ".join("".join(self._label).split())] = self._sends
            self._label = None
        elif tag == "form":
            self._open = None


def press(browser: httpx2.Client, url: str, button: str) -> None:
    """Open a page and press the button whose label starts with `button`.

    Raises:
        StoryStopped: The page or what follows it is an error, or has no such button.
    """
    page = browser.get(url)
    _must_show(page)
    reader = FormReader()
    reader.feed(page.text)
    for form in reader.forms:
        for label, sends in form.buttons.items():
            if label.lower().startswith(button.lower()):
                _must_show(_submit(browser, str(page.url), form, sends))
                return
    message = f"The page {url} has no button {button!r}."
    raise StoryStopped(message)


def _submit(
    browser: httpx2.Client, page_url: str, form: Form, sends: tuple[str, str] | None
) -> httpx2.Response:
    data = dict([*form.fields.items(), *([sends] if sends else [])])
    return browser.request(form.method, urljoin(page_url, form.action), data=data)


def _must_show(page: httpx2.Response) -> None:
    if page.is_error:
        message = f"The page {page.url} answered {page.status_code}."
        raise StoryStopped(message)
