"""The simulator's webhook signature, attacked."""

from datetime import UTC, datetime, timedelta

import pytest

from guilder.gateways.errors import WebhookSignatureInvalid
from guilder.gateways.simulator.signatures import sign, verify

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
BODY = b'{"id":"simevent_1"}'


def check(header: str, body: bytes = BODY, *, secrets: tuple[str, ...] = ("s1",)) -> None:
    verify(header, body, secrets=secrets, now=NOW, tolerance_s=300)


def test_what_was_signed_is_accepted() -> None:
    check(sign(BODY, secrets=("s1",), now=NOW))


@pytest.mark.parametrize("age_s", [-300, 0, 300])
def test_a_fresh_signature_is_accepted(age_s: int) -> None:
    check(sign(BODY, secrets=("s1",), now=NOW - timedelta(seconds=age_s)))


@pytest.mark.parametrize("age_s", [-301, 301, 86_400])
def test_a_stale_signature_is_refused(age_s: int) -> None:
    with pytest.raises(WebhookSignatureInvalid):
        check(sign(BODY, secrets=("s1",), now=NOW - timedelta(seconds=age_s)))


def test_either_secret_is_accepted_while_one_is_being_changed() -> None:
    check(sign(BODY, secrets=("old", "new"), now=NOW), secrets=("new",))
    check(sign(BODY, secrets=("old",), now=NOW), secrets=("new", "old"))


def test_another_secret_is_refused() -> None:
    with pytest.raises(WebhookSignatureInvalid):
        check(sign(BODY, secrets=("s2",), now=NOW))


def test_another_body_is_refused() -> None:
    with pytest.raises(WebhookSignatureInvalid):
        check(sign(BODY, secrets=("s1",), now=NOW), BODY + b" ")


def test_another_time_is_refused() -> None:
    header = sign(BODY, secrets=("s1",), now=NOW - timedelta(seconds=400))
    fresh = f"t={int(NOW.timestamp())}," + header.partition(",")[2]
    with pytest.raises(WebhookSignatureInvalid):
        check(fresh)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=",
        "t=1",
        "v1=00",
        "t=x,v1=00",
        "t=-1,v1=00",
        "t=٣,v1=00",
        "t=1769860800",
        "t=1769860800,v1=",
        "t=1769860800,v1=é",
        "t=" + "9" * 5_000 + ",v1=00",
        "t=1769860800," + "v1=00," * 1_000,
    ],
)
def test_anything_else_is_refused(header: str) -> None:
    with pytest.raises(WebhookSignatureInvalid):
        check(header)
