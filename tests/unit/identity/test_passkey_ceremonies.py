"""What browsers say: read strictly, and never the end of the server."""

import copy
from typing import Any

import pytest
import webauthn
from hypothesis import given
from hypothesis import strategies as st
from webauthn.helpers import encode_cbor, parse_cbor

from guilder.identity.config import LOCAL_PARTY
from guilder.identity.factors.passkey_ceremonies import (
    Ceremonies,
    CeremonyFailed,
    challenge_of,
    user_handle_of,
)
from guilder.identity.factors.passkey_models import Passkey
from guilder.identity.factors.passkeys import id_of
from guilder.kernel.ids import UserId
from tests.support.identity import HandClock
from tests.support.passkeys import (
    PRESENT,
    SYNCABLE,
    SYNCED,
    VERIFIED,
    SoftDevice,
    decoded,
    encoded,
)

CHALLENGE = bytes(range(32))
USER = UserId("user_01h2xcejqtf2nbrexx3vqjhp41")
CEREMONIES = Ceremonies(LOCAL_PARTY)


def creation() -> dict[str, Any]:
    return CEREMONIES.creation_options(
        USER, name="payer@example.com", display="Payer", challenge=CHALLENGE, known=()
    )


def kept(device: SoftDevice) -> Passkey:
    """Make a passkey, and return it as it is stored."""
    made = CEREMONIES.made(device.make(creation()), CHALLENGE)
    now = HandClock().now
    return Passkey(
        id=id_of(made.credential_id),
        user_id=USER,
        name="sealed",
        credential_id=made.credential_id,
        public_key=made.public_key,
        sign_count=made.sign_count,
        transports=made.transports,
        is_synced=made.is_synced,
        created_at=now,
        updated_at=now,
    )


MADE = SoftDevice().make(creation())
DEVICE = SoftDevice()
PASSKEY = kept(DEVICE)
SHOWN = DEVICE.show(CEREMONIES.request_options(CHALLENGE))


def test_options_ask_the_device_who_its_user_is() -> None:
    options = creation()
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["attestation"] == "none"
    assert decoded(options["user"]["id"]).decode() == USER
    request = CEREMONIES.request_options(CHALLENGE, allowed=[PASSKEY])
    assert request["userVerification"] == "required"
    assert request["allowCredentials"] == [{"id": PASSKEY.credential_id, "type": "public-key"}]


def test_an_honest_answer_passes() -> None:
    assert challenge_of(SHOWN) == CHALLENGE
    assert user_handle_of(SHOWN) == USER
    shown = CEREMONIES.shown(SHOWN, CHALLENGE, PASSKEY)
    assert (shown.sign_count, shown.is_synced) == (DEVICE.soft.sign_count, False)


def test_what_may_be_synced_says_so() -> None:
    assert kept(SoftDevice(flags=PRESENT | VERIFIED | SYNCABLE | SYNCED)).is_synced
    with pytest.raises(CeremonyFailed):
        # Synced, but not to be synced: WebAuthn Level 3, 6.1.3.
        kept(SoftDevice(flags=PRESENT | VERIFIED | SYNCED))


@pytest.mark.parametrize(
    "lies",
    [
        {"flags": PRESENT},
        {"flags": VERIFIED},
        {"rp_id": "evil.example"},
        {"client_data": {"origin": "http://evil.localhost:8000"}},
        {"client_data": {"type": "webauthn.get"}},
        {"client_data": {"challenge": encoded(bytes(32))}},
        {"credential": {"id": encoded(b"another"), "rawId": encoded(b"another")}},
        {"credential": {"type": "password"}},
        {"response": {"attestationObject": encode_cbor({"fmt": "none"})}},
    ],
    ids=range(9),
)
def test_a_new_passkey_that_lies_is_refused(lies: dict[str, Any]) -> None:
    with pytest.raises(CeremonyFailed):
        CEREMONIES.made(SoftDevice().make(creation(), **lies), CHALLENGE)


def test_certificates_of_devices_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has asked for any: their parsers are no business of whoever has an account."""
    monkeypatch.setattr(webauthn, "verify_registration_response", _never)
    for kind in ("tpm", "android-safetynet", "android-key", "apple", "fido-u2f", "new"):
        credential = SoftDevice().make(creation())
        attested = parse_cbor(decoded(credential["response"]["attestationObject"]))
        lying = encode_cbor({**attested, "fmt": kind, "attStmt": {"x5c": [b"x"]}})
        credential["response"]["attestationObject"] = encoded(lying)
        with pytest.raises(CeremonyFailed):
            CEREMONIES.made(credential, CHALLENGE)


def _never(**_: Any) -> None:
    pytest.fail("it was read")


def test_a_key_that_could_never_be_verified_is_refused() -> None:
    credential = SoftDevice().make(creation())
    attested = parse_cbor(decoded(credential["response"]["attestationObject"]))
    data = attested["authData"]
    # The last 32 bytes are the point's second coordinate: another one is on no curve.
    lying = encode_cbor({**attested, "authData": data[:-32] + bytes(31) + b"\x01"})
    credential["response"]["attestationObject"] = encoded(lying)
    with pytest.raises(CeremonyFailed):
        CEREMONIES.made(credential, CHALLENGE)


@pytest.mark.parametrize(
    "client_data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"challenge": 5}',
        b'{"challenge": "a+b/"}',
        b'{"challenge": "AAAA", "crossOrigin": true}',
        b'{"challenge": "AAAA", "topOrigin": "https://evil.example"}',
        b"[" * 100_000,
    ],
    ids=range(9),
)
def test_an_answer_that_names_no_challenge_is_refused(client_data: bytes) -> None:
    with pytest.raises(CeremonyFailed):
        challenge_of({"response": {"clientDataJSON": encoded(client_data)}})


@pytest.mark.parametrize("credential", [{}, {"response": 5}, {"response": {}}], ids=range(3))
def test_an_answer_without_an_answer_is_refused(credential: dict[str, Any]) -> None:
    with pytest.raises(CeremonyFailed):
        challenge_of(credential)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(value, dict):
        return [path]
    return [place for name, each in value.items() for place in _places(each, (*path, name))]


_JSON = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.just([]), st.just({}))


@given(data=st.data(), is_new=st.booleans())
def test_whatever_is_changed_is_refused_and_breaks_nothing(
    data: st.DataObject, *, is_new: bool
) -> None:
    """Every byte of an answer is covered by something: changed, it is refused, and nothing else."""
    credential = copy.deepcopy(MADE if is_new else SHOWN)
    looked_at = ("attestationObject",) if is_new else ("authenticatorData", "signature")
    place = data.draw(
        st.sampled_from([each for each in _places(credential["response"]) if each[0] in looked_at])
    )
    original = credential["response"][place[0]]
    if data.draw(st.booleans()):
        raw = bytearray(decoded(original))
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= data.draw(st.integers(1, 255))
        credential["response"][place[0]] = encoded(bytes(raw))
    else:
        credential["response"][place[0]] = data.draw(_JSON.filter(lambda each: each != original))
    try:
        if is_new:
            CEREMONIES.made(credential, CHALLENGE)
        else:
            CEREMONIES.shown(credential, CHALLENGE, PASSKEY)
    except CeremonyFailed:
        return
    # What a device says of itself is its own affair: nobody signs the making of a passkey.
    assert is_new
