"""People with passkeys, over HTTP."""

from dataclasses import dataclass
from typing import Any

import httpx2

from tests.support.http import PASSWORD, Person, Running
from tests.support.passkeys import Json, SoftDevice

FACTORS, MAKING = "/v1/factors/passkeys", "/v1/factors/passkey-options"
SIGN_IN = "/v1/auth/passkeys"
VOLATILE = ("request_id", "instance")
"""What differs between two answers that say the same."""


@dataclass(frozen=True)
class Holder:
    """Somebody who is signed in, and a device that has a passkey of theirs."""

    person: Person
    device: SoftDevice
    passkey: Json
    recovery_codes: list[str]


def origin_of(guilder: Running) -> str:
    """Return the page that a browser would be on. An address has no passkeys; this name has."""
    return f"http://localhost:{guilder.settings.port}"


async def confirmed(
    person: Person, method: str, path: str, *, device: SoftDevice | None = None
) -> httpx2.Response:
    """Send a request that asks for a step-up, confirm it, and send it again.

    Args:
        device: Confirms it; without one the password does.
    """
    refused = await person.client.request(method, path, headers=person.headers)
    assert refused.status_code == 403, refused.text
    assert refused.json()["code"] == "step_up_required"
    step_up = f"/v1/auth/challenges/{refused.json()['challenge']['id']}"
    proof: Json = {"method": "password", "code": PASSWORD}
    if device is not None:
        options = await person.post(f"{step_up}/passkey", None)
        assertion = device.show(options.raise_for_status().json()["public_key"])
        proof = {"method": "passkey", "assertion": assertion}
    approved = await person.post(f"{step_up}/verify", proof)
    assert approved.status_code == 200, approved.text
    headers = {**person.headers, "Step-Up": approved.json()["challenge_id"]}
    return await person.client.request(method, path, headers=headers)


async def holder(guilder: Running, **device: Any) -> Holder:
    """Register somebody, and have a passkey made on a new device."""
    person = await guilder.person()
    mine = SoftDevice(origin=origin_of(guilder), **device)
    options = await confirmed(person, "POST", MAKING)
    made = mine.make(options.raise_for_status().json()["public_key"])
    added = await person.post(FACTORS, {"name": "Telephone", "credential": made})
    assert added.status_code == 201, added.text
    return Holder(person, mine, added.json()["passkey"], added.json()["recovery_codes"])


async def sign_in_options(client: httpx2.AsyncClient) -> Json:
    """Ask for a challenge to sign in."""
    answer = (await client.post(f"{SIGN_IN}/options")).raise_for_status()
    options: Json = answer.json()["public_key"]
    return options


async def shown(client: httpx2.AsyncClient, credential: Json) -> httpx2.Response:
    """Sign in with what a device has answered."""
    return await client.post(f"{SIGN_IN}/verify", json={"credential": credential})


def told(answer: httpx2.Response) -> Json:
    """Return what an answer says, but for what is different each time."""
    return {name: value for name, value in answer.json().items() if name not in VOLATILE}
