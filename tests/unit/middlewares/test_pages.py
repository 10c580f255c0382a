"""What every small page comes with."""

import hashlib
import re
from base64 import b64decode

from guilder.payment_requests.pages import missing_page


def test_the_policy_allows_the_style_that_the_page_has() -> None:
    html, headers = missing_page()
    style = re.search(r"<style>(.*)</style>", html, re.DOTALL)
    allowed = re.search(r"style-src 'sha256-([^']+)'", headers["content-security-policy"])
    assert style is not None
    assert allowed is not None
    assert hashlib.sha256(style[1].encode()).digest() == b64decode(allowed[1])
    assert "&#" not in style[1]
