"""The ways in of one person on a running Guilder, with the codes that its mailbox shows."""

import asyncio
import secrets
from typing import Any

import httpx2
import pytest

from tests.support.http import PASSWORD, Running

NEW = "seven other unlikely words"


async def mailed(guilder: Running, to: str, template: str) -> str:
    """Wait for a letter and return its code."""
    async with asyncio.timeout(60):
        while True:
            response = await guilder.client.get("/mailbox.json", params={"to": to})
            for letter in response.raise_for_status().json()["data"]:
                if letter["template"] == template:
                    return str(letter["values"].get("code", ""))
            await asyncio.sleep(0.02)


async def sent(
    guilder: Running, path: str, body: dict[str, Any], *, token: str | None = None
) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = await guilder.client.post(f"/v1{path}", json=body, headers=headers)
    assert response.headers["cache-control"] == "no-store", path
    return response


async def test_registered_confirmed_changed_and_recovered(guilder: Running) -> None:
    email = f"payer-{secrets.token_hex(4)}@example.com"
    await sent(guilder, "/register", {"name": "Payer", "email": email, "password": PASSWORD})
    code = await mailed(guilder, email, "verify_email")
    redeemed = await sent(
        guilder, "/auth/codes/redeem", {"email": email, "code": code, "password": PASSWORD}
    )
    assert redeemed.status_code == 200, redeemed.text
    assert redeemed.json()["user"]["email_verified"]
    token = redeemed.json()["access_token"]
    again = await sent(guilder, "/users/me/email/verify", {"code": code}, token=token)
    assert again.json() == redeemed.json()["user"]

    wrong = {"current_password": "not mine at all", "new_password": NEW}
    refused = await sent(guilder, "/users/me/password", wrong, token=token)
    assert (refused.status_code, refused.json()["code"]) == (403, "password_wrong")
    right = {"current_password": PASSWORD, "new_password": NEW}
    changed = await sent(guilder, "/users/me/password", right, token=token)
    assert (changed.status_code, changed.content) == (204, b"")
    await mailed(guilder, email, "password_changed")
    assert (await sent(guilder, "/login", {"email": email, "password": NEW})).status_code == 200

    asked = await sent(guilder, "/auth/recovery", {"email": email})
    assert (asked.status_code, asked.json()) == (202, {"expires_in": 1800})
    link = await mailed(guilder, email, "password_reset")
    complete = {"token": link, "password": PASSWORD}
    assert (await sent(guilder, "/auth/recovery/complete", complete)).status_code == 204
    used = await sent(guilder, "/auth/recovery/complete", complete)
    assert (used.status_code, used.json()["code"]) == (410, "link_invalid")
    over = await guilder.client.get("/v1/users/me", headers={"Authorization": f"Bearer {token}"})
    assert over.status_code == 401


async def test_the_contacts_of_who_is_signed_in(guilder: Running) -> None:
    person = await guilder.person()
    response = await sent(guilder, "/users/me/email/resend", {}, token=person.token)
    assert (response.status_code, response.json()) == (202, {"expires_in": 600})
    wrong = await sent(guilder, "/users/me/email/verify", {"code": "no"}, token=person.token)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "code_wrong")
    for path, body in (("resend", {}), ("verify", {"code": "12345678"})):
        missing = await sent(guilder, f"/users/me/phone/{path}", body, token=person.token)
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    asked = await sent(guilder, "/auth/codes", {"email": person.user["email"]})
    assert asked.status_code == 202
    code = await mailed(guilder, person.user["email"], "sign_in_code")
    signed_in = await sent(
        guilder, "/auth/codes/redeem", {"email": person.user["email"], "code": code}
    )
    assert signed_in.status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auth/codes", {}),
        ("/auth/codes", {"email": "a@example.com", "phone": "+12025550123"}),
        ("/auth/codes", {"email": "none"}),
        ("/auth/codes", {"email": "a@example.com", "purpose": "other"}),
        ("/auth/codes/redeem", {"email": "a@example.com"}),
        ("/auth/codes/redeem", {"email": "a@example.com", "code": 12345678}),
        ("/auth/recovery", {"phone": "+12025550123"}),
        ("/auth/recovery/complete", {"token": "x" * 200, "password": NEW}),
    ],
)
async def test_bodies_are_as_declared(guilder: Running, path: str, body: dict[str, Any]) -> None:
    response = await sent(guilder, path, body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid")
