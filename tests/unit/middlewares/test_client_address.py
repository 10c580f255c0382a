"""Whose address counts, and whose word about it."""

from ipaddress import ip_network

import pytest
from fastapi import FastAPI
from starlette.requests import Request

from guilder.middlewares.client_address import address_of, client_address
from tests.support.asgi import scope_of

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.0.0.1", "10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "garbage", "unknown"),
        ("10.0.0.1", ",,", "10.0.0.1"),
        ("2001:db8:ffff::1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", None, "203.0.113.9"),
        (None, None, "unknown"),
    ],
)
def test_with_proxies(peer: str | None, forwarded: str | None, client: str) -> None:
    headers = {"x-forwarded-for": forwarded} if forwarded is not None else {}
    assert client_address(scope_of(client=peer, headers=headers), PROXIES) == client


def test_asvs_15_3_4_without_proxies_nobody_is_believed() -> None:
    scope = scope_of(client="203.0.113.9", headers={"x-forwarded-for": "1.2.3.4"})
    assert client_address(scope, ()) == "203.0.113.9"
    assert client_address(scope_of(client="2001:db8::1"), ()) == "2001:db8::/64"


def test_several_headers_are_one_list() -> None:
    scope = scope_of(client="10.0.0.1")
    scope["headers"] = [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"198.51.100.7")]
    assert client_address(scope, PROXIES) == "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "trusted", "address"),
    [
        ("10.0.0.1", PROXIES, "198.51.100.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        (None, None, None),
    ],
)
def test_a_route_asks_who_it_is(peer: str | None, trusted: object, address: str | None) -> None:
    headers = {"x-forwarded-for": "198.51.100.1"}
    scope = scope_of(client=peer, headers=headers, app=FastAPI())
    if trusted is not None:
        scope["app"].state.trusted_proxies = trusted
    assert address_of(Request(scope)) == address
