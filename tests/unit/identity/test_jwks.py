"""The public keys: what anybody needs to verify our tokens, and nothing else."""

import json

from joserfc import jwt
from joserfc.jwk import KeySet

from guilder.identity.authentication import Principal
from guilder.identity.config import SigningKey
from guilder.identity.jwks import key_set
from guilder.identity.tokens import AccessTokens
from guilder.kernel.ids import SessionId, UserId, WalletId
from tests.support.identity import HandClock

ED = SigningKey(b"first secret of the tests, 32 bytes or more", "Ed25519")
NEXT = SigningKey(b"second secret of the tests, 32 bytes or more", "Ed25519")
HS = SigningKey(b"third secret of the tests, 32 bytes or more", "HS256")


def test_a_stranger_verifies_our_tokens_with_it() -> None:
    tokens = AccessTokens(
        keys=(ED, NEXT, HS), issuer="i", audience="a", ttl_s=900, clock=HandClock(), cache_size=1
    )
    token = tokens.issue(Principal(UserId("user_a"), WalletId("wallet_a"), SessionId("session_a")))
    keys = KeySet.import_key_set(json.loads(json.dumps(key_set((ED, NEXT, HS)))))
    assert jwt.decode(token, keys, algorithms=["Ed25519"]).claims["sub"] == "user_a"


def test_asvs_9_1_3_shows_public_halves_only() -> None:
    shown = key_set((HS, ED, NEXT))["keys"]
    assert [each["kid"] for each in shown] == [ED.kid, NEXT.kid]
    assert all(set(each) == {"kty", "crv", "use", "alg", "kid", "x"} for each in shown)
    text = json.dumps(shown)
    for key in (ED, NEXT, HS):
        assert key.key.hex() not in text
        assert key.secret.decode() not in text


def test_of_hmac_keys_nothing_is_shown() -> None:
    assert key_set((HS,)) == {"keys": []}
