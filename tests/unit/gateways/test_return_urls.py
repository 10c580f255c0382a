"""Where a checkout may send a browser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guilder.gateways.return_urls import origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://shop.example.com", "https://shop.example.com"),
        ("https://shop.example.com/back?order=1#top", "https://shop.example.com"),
        ("http://localhost:5173/", "http://localhost:5173"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
    ],
)
def test_absolute_addresses_pass(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/back",
        "//shop.example.com/",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://shop.example.com/",
        "https://",
        "https:///x",
        "https://user@shop.example.com/",
        "https://good.example.com@evil.example.com/",
        "https://good.example.com\\@evil.example.com/",
        "https://shop.example.com/\r\nSet-Cookie: x=1",
        "https://shop.example.com/\n",
        "https://shop.example.com/ x",
        "https://shop.example.com;script-src *",
        "https://shöp.example.com/",
        "https://shop.example.com/\x00",
        "https://shop.example.com/" + "x" * 2_000,
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    assert origin_of(url) is None


@given(st.text())
def test_an_origin_never_holds_what_splits_a_header_or_a_policy(text: str) -> None:
    origin = origin_of("https://" + text)
    assert origin is None or not set(origin) & set(" ;,'\"\r\n\t<>\\@")
