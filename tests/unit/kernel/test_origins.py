"""Web origins, and what browsers let a page ask for."""

import pytest

from guilder.kernel.origins import may_ask_for, origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://pay.example.com", "https://pay.example.com"),
        ("https://pay.example.com/wallet?x#y", "https://pay.example.com"),
        ("https://PAY.Example.com:443", "https://pay.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://user@[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["", "pay.example.com", "ftp://x", "https://", "http://x:99999"])
def test_what_is_no_address_has_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be an address|Port"):
        origin_of(url)


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "https://example.com:8443",
        "https://deep.pay.example.com",
        "android:apk-key-hash:q83vEjRWeJCrze8SNFZ4kKvN7xI",
    ],
)
def test_a_page_asks_for_its_domain(origin: str) -> None:
    assert may_ask_for("example.com", origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://example.com",
        "http://pay.example.com",
        "https://badexample.com",
        "https://example.com.evil.test",
        "https://com",
        "https://example.com/",
        "https://EXAMPLE.com",
        "https://example.com:443",
        "https://evil@example.com",
        "https://[::1",
        "android:apk-key-hash:",
        "null",
        "",
    ],
)
def test_a_page_asks_for_nothing_else(origin: str) -> None:
    assert not may_ask_for("example.com", origin)


def test_only_this_machine_needs_no_tls() -> None:
    assert may_ask_for("localhost", "http://localhost:8000")
    assert may_ask_for("localhost", "http://wallet.localhost")
    assert not may_ask_for("127.0.0.1", "http://127.0.0.1:8000")
    assert not may_ask_for("127.0.0.1", "https://127.0.0.1")
    assert not may_ask_for("0.1", "https://127.0.0.1")
