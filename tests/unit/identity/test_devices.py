"""Devices in words, places by their beginning, tokens of headers and cookies."""

import pytest

from guilder.identity.devices import Device, place_of, tokens_in, tokens_text

_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; rv:132.0) Gecko/20100101 Firefox/132.0",
            "Firefox on Windows",
        ),
        (f"Mozilla/5.0 (X11; Linux x86_64) {_CHROME} Safari/537.36", "Chrome on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0) {_CHROME} Safari/537.36 Edg/130.0", "Edge on Windows"),
        (f"Mozilla/5.0 (Linux; Android 15) {_CHROME} Mobile Safari/537.36", "Chrome on Android"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) Version/18.0 Safari/605.1",
            "Safari on macOS",
        ),
        (f"Mozilla/5.0 (X11; CrOS x86_64 1) {_CHROME} Safari/537.36 OPR/1", "Opera on ChromeOS"),
        ("okhttp/4.12.0", "An app"),
        ("Wallet/1 CFNetwork/1498 Darwin/23", "An app on an Apple device"),
        ("python-httpx2/2.16", "A Python program"),
        ("curl/8.5", "Curl"),
        ("", "An unknown program"),
        ("<script>alert(1)</script>", "An unknown program"),
        ("x" * 600 + "Firefox/1", "An unknown program"),
    ],
)
def test_words_come_from_two_tables(agent: str, words: str) -> None:
    assert Device(user_agent=agent).words == words


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("127.0.0.1", "this computer"),
        ("::/64", "this computer"),
        ("unknown", ""),
        (None, ""),
    ],
)
def test_a_place_is_shared_by_many(address: str | None, place: str) -> None:
    assert place_of(address) == place


def test_tokens_of_four_people_at_most() -> None:
    tokens = ["a" * 43, "b" * 43, "c" * 43, "d" * 43]
    assert tokens_in(tokens_text(tokens)) == tuple(tokens)
    assert tokens_text(["e" * 43, *tokens, "e" * 43]) == tokens_text(["e" * 43, *tokens[:3]])
    for none in ("", "short", "a" * 44, ".".join(["a" * 43] * 5), "\u00e4" * 43, "a" * 10_000):
        assert tokens_in(none) == ()


def test_a_device_does_not_print_its_tokens() -> None:
    assert "secret" not in repr(Device("agent", ("secret" * 8,)))
