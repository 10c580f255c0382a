"""Codes of an app, as RFC 6238 has them; and which of them are taken when."""

import re

import pytest

from guilder.identity.factors.recovery_codes import _made
from guilder.identity.factors.rules import accepted_steps
from guilder.identity.factors.totp import _qr, _uri, code_at

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""`12345678901234567890` in base32."""


@pytest.mark.parametrize(
    ("now_s", "code"),
    [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ],
)
def test_rfc_6238_appendix_b(now_s: int, code: str) -> None:
    assert code_at(SECRET, now_s // 30) == code


def test_a_code_is_taken_half_a_minute_early_and_late() -> None:
    assert list(accepted_steps(3000, last_step=0)) == [99, 100, 101]
    assert list(accepted_steps(3029, last_step=0)) == [99, 100, 101]


def test_asvs_6_5_1_a_step_that_was_taken_and_those_before_it_are_not_taken_again() -> None:
    assert list(accepted_steps(3000, last_step=99)) == [100, 101]
    assert list(accepted_steps(3000, last_step=101)) == []
    assert list(accepted_steps(3000, last_step=500)) == []


def test_apps_read_the_uri() -> None:
    uri = _uri(SECRET, name="a b+c@example.com", issuer="My Bank")
    assert uri == (
        f"otpauth://totp/My%20Bank:a%20b%2Bc@example.com?secret={SECRET}&issuer=My%20Bank"
        "&algorithm=SHA1&digits=6&period=30"
    )
    assert "<svg" in _qr(uri)
    assert SECRET not in _qr(uri)


def test_asvs_6_5_2_recovery_codes_have_120_bits() -> None:
    made = {_made() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[0-9a-hjkmnp-tv-z]{24}", each) for each in made)
