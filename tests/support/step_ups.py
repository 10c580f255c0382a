"""Requests that ask for a fresh factor, and people who give their password for it."""

import httpx2

from tests.support.http import PASSWORD, Person


async def post_proved(person: Person, path: str, body: object = None) -> httpx2.Response:
    """Send a request, give the password if a factor is asked for, and send it again."""
    asked = await person.post(path, body)
    if asked.status_code != 403 or asked.json()["code"] != "step_up_required":
        return asked
    challenge = asked.json()["challenge"]["id"]
    proof = {"method": "password", "code": PASSWORD}
    proved = await person.post(f"/v1/auth/challenges/{challenge}/verify", proof)
    assert proved.status_code == 200, proved.text
    headers = person.headers | {"Step-Up": challenge}
    return await person.client.post(path, json=body, headers=headers)
