"""People who sign in by other companies, and what they do there, for tests."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2

from guilder.identity.models import Session, User
from guilder.identity.outside.models import OutsideAccount, OutsideAnswer
from guilder.notifications.models import Message
from guilder.storage.base import Storage
from guilder.wallets.models import Wallet
from tests.support.http import PASSWORD, Running
from tests.support.oidc import RETURN_URL, Browser, Company, Facebook, s256

REFUSED = {"error": "outside_answer_refused"}
"""What a client is told of an answer that is not believed, whatever is wrong with it."""
WRITTEN = (User, Wallet, Session, OutsideAccount, OutsideAnswer)


@dataclass
class World:
    """A running Guilder and the companies around it."""

    guilder: Running
    company: Company
    facebook: Facebook

    @property
    def storage(self) -> Storage:
        found: Storage = self.guilder.app.state.storage
        return found

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.guilder.settings.port}"

    async def linked(self) -> list[OutsideAccount]:
        return await self.storage.documents(OutsideAccount).page({}, limit=1_000)

    async def users(self) -> int:
        return len(await self.storage.documents(User).page({}, limit=1_000))


def somebody(world: World, subject: str, **more: Any) -> dict[str, Any]:
    """Have somebody else sit before the company's page."""
    world.company.person = {
        "sub": subject,
        "email": f"{subject}@example.com",
        "email_verified": True,
        "name": subject.title(),
        **more,
    }
    return world.company.person


def bearer(answer: httpx2.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def assert_problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    return body


async def registered(world: World, email: str) -> dict[str, str]:
    """Register somebody with a password and sign them in."""
    api = world.guilder.client
    body = {"name": "Payer", "email": email, "password": PASSWORD}
    (await api.post("/v1/register", json=body)).raise_for_status()
    return bearer(await api.post("/v1/login", json={"email": email, "password": PASSWORD}))


async def stepped_up(
    client: Browser, method: str, path: str, headers: dict[str, str], body: Any = None
) -> httpx2.Response:
    """Send a request, prove oneself by the password, and send it again."""
    refused = await client.api.request(method, path, headers=headers, json=body)
    challenge = assert_problem(refused, 403, "step_up_required")["challenge"]["id"]
    proof = {"method": "password", "code": PASSWORD}
    proved = await client.api.post(
        f"/v1/auth/challenges/{challenge}/verify", headers=headers, json=proof
    )
    assert proved.status_code == 200, proved.text
    return await client.api.request(
        method, path, headers=headers | {"Step-Up": challenge}, json=body
    )


async def begun_link(client: Browser, headers: dict[str, str], provider: str = "company") -> str:
    """Begin to link, and return where the browser is sent."""
    body = {"return_url": RETURN_URL, "challenge": s256(client.verifier)}
    path = f"/v1/auth/outside/{provider}/link"
    answer = await stepped_up(client, "POST", path, headers, body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_in"] == 600
    return str(answer.json()["url"])


async def linked(client: Browser, headers: dict[str, str]) -> httpx2.Response:
    """Link whoever sits before the company's page."""
    told = await client.back(await client.to_callback(await begun_link(client, headers)))
    body = {"code": told["code"], "verifier": client.verifier}
    return await client.api.post("/v1/users/me/outside", headers=headers, json=body)


async def code_sent(world: World, email: str) -> str:
    """Return the latest code that was sent to an address, from development's mailbox."""
    async with asyncio.timeout(30):
        while True:
            for letter in await world.guilder.app.state.mailbox.letters():
                if letter.to == email and letter.template == "sign_in_code":
                    return str(letter.values["code"])
            await asyncio.sleep(0.05)


async def messages_to(world: World, email: str) -> list[str]:
    """Return the templates of what was sent to somebody."""
    user = await world.guilder.app.state.identity.find_by_email(email)
    stored = await world.storage.documents(Message).page({}, limit=1_000)
    return [
        each.template
        for each in sorted(stored, key=lambda each: (each.created_at, each.id))
        if each.user_id == user.id
    ]


async def written(guilder: Running) -> list[int]:
    """Return how much there is of everything that signing in writes."""
    storage = guilder.app.state.storage
    return [len(await storage.documents(model).page({}, limit=1_000)) for model in WRITTEN]
