"""How long a request for money lasts, and what is said when it has ended."""

from datetime import UTC, datetime, timedelta

import pytest

from guilder.kernel.errors import InvalidRequest
from guilder.payment_requests.qr import svg_of
from guilder.payment_requests.rules import PaymentRequestStatus, ended, expiry

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_it_lasts_thirty_days_or_as_long_as_is_said() -> None:
    assert expiry(None, now=NOW) == NOW + timedelta(days=30)
    for wanted in (NOW + timedelta(milliseconds=1), NOW + timedelta(days=366)):
        assert expiry(wanted, now=NOW) == wanted


@pytest.mark.parametrize("wanted", [NOW, NOW - timedelta(days=1), NOW + timedelta(days=367)])
def test_not_for_ever_and_not_into_the_past(wanted: datetime) -> None:
    with pytest.raises(InvalidRequest) as caught:
        expiry(wanted, now=NOW)
    assert [each.pointer for each in caught.value.fields] == ["/expires_at"]


def test_what_is_said_when_it_has_ended() -> None:
    assert ended(PaymentRequestStatus.EXPIRED).code == "payment_request_expired"
    paid = ended(PaymentRequestStatus.PAID)
    assert (paid.code, paid.detail) == (
        "payment_request_ended",
        "The payment request was paid before.",
    )


def test_a_qr_code_is_an_image_with_nothing_in_it_but_the_code() -> None:
    image = svg_of("https://guilder.example/pay/payment_request_01h455vb4pex5vsknk084sn02q")
    assert image.startswith(b"<?xml")
    assert b"<script" not in image
    assert b"guilder.example" not in image
