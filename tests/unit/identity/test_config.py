"""Settings of identity that would be unsafe are refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from guilder.identity.config import SigningKey
from guilder.kernel.errors import InvariantViolation
from guilder.vault.vault import derived_key
from tests.support.identity import SIGNING_KEY, quick_config


def _pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "changes",
    [
        {"signing_keys": ()},
        {"signing_keys": (SIGNING_KEY, SIGNING_KEY)},
        {"pepper": b"x" * 31},
        {"bcrypt_cost": 3},
        {"bcrypt_cost": 32},
        {"password_min_length": 7},
        {"access_ttl_s": 900, "session_idle_s": 899},
        {"access_ttl_s": 0},
        {"access_ttl_s": 900, "refresh_ttl_s": 900},
    ],
)
def test_unsafe_settings(changes: dict[str, object]) -> None:
    with pytest.raises(InvariantViolation):
        quick_config(**changes)


def test_short_signing_secret() -> None:
    with pytest.raises(InvariantViolation):
        SigningKey(b"x" * 31)


def test_pem_key_is_the_key_itself() -> None:
    private = Ed25519PrivateKey.generate()
    assert SigningKey(_pem(private)).key == private.private_bytes_raw()


def test_pem_of_another_kind() -> None:
    with pytest.raises(InvariantViolation):
        SigningKey(_pem(X25519PrivateKey.generate()))
    with pytest.raises(InvariantViolation):
        SigningKey(_pem(Ed25519PrivateKey.generate()), "HS256")


def test_no_two_uses_share_a_key() -> None:
    secret = b"x" * 32
    keys = [SigningKey(secret, "Ed25519"), SigningKey(secret, "HS256")]
    made = {each.key for each in keys} | {each.kid.encode() for each in keys} | {secret}
    assert len(made) == 5
    assert derived_key(secret, "a") != derived_key(secret, "b")


def test_secrets_are_not_shown() -> None:
    config = quick_config()
    assert "pepper for tests" not in repr(config)
    assert "signing secret" not in repr(config)
