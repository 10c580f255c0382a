"""API keys for tests: what they are made of, and programs that have one."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2

from guilder.api_keys.models import ApiKey
from guilder.api_keys.rules import (
    Mode,
    MoneyBudget,
    MoneyPer,
    RequestQuota,
    RequestsPer,
    UsageLimits,
)
from guilder.identity.roles import Permission
from guilder.kernel.ids import UserId, WalletId, new_id
from tests.support.http import PASSWORD, Person

PATH = "/v1/api-keys"


def quota(count: int, per: RequestsPer = RequestsPer.MINUTE) -> UsageLimits:
    """Return a quota without a budget."""
    return UsageLimits(requests=RequestQuota(per=per, count=count))


def budget(*money: tuple[str, str, int]) -> UsageLimits:
    """Return budgets without a quota, each of currency, time and amount."""
    return UsageLimits(
        money=tuple(
            MoneyBudget(currency=currency, per=MoneyPer(per), amount_minor=amount)
            for currency, per, amount in money
        )
    )


def stored_key(now: datetime, **changes: Any) -> ApiKey:
    """Return a key of nobody."""
    values: dict[str, Any] = {
        "id": new_id("key"),
        "user_id": UserId("user_test"),
        "wallet_id": WalletId("wallet_test"),
        "name": "Web shop",
        "mode": Mode.TEST,
        "prefix": "glk_test_5gVz",
        "scopes": (Permission.WALLET_READ,),
        "limits": UsageLimits(),
        "expires_at": datetime.max.replace(tzinfo=now.tzinfo, year=9000),
        "created_at": now,
        "updated_at": now,
        **changes,
    }
    return ApiKey(**values)


@dataclass(frozen=True)
class Program:
    """What acts for somebody with a key."""

    client: httpx2.AsyncClient
    api_key: str

    async def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> httpx2.Response:
        """Send a request with the key."""
        return await self.client.request(
            method,
            path,
            json=body,
            headers={
                "Authorization": f"Bearer {self.api_key}",
                "Idempotency-Key": secrets.token_hex(16),
                **headers,
            },
        )

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        """Read something."""
        return await self.ask("GET", path, **headers)

    async def pay(self, to: Person, amount: int, currency: str = "USD") -> httpx2.Response:
        """Send money."""
        body = {"amount": amount, "currency": currency, "to": {"email": to.user["email"]}}
        return await self.ask("POST", "/v1/wallet/transfer", body)


async def confirmed(
    person: Person, method: str, path: str, body: object = None, **headers: str
) -> httpx2.Response:
    """Send a request that asks for a fresh factor, give the password, and send it again."""
    sent: Mapping[str, str] = person.headers | headers
    asked = await person.client.request(method, path, json=body, headers=sent)
    assert asked.status_code == 403, asked.text
    challenge = asked.json()["challenge"]["id"]
    proof = {"method": "password", "code": PASSWORD}
    approved = await person.client.post(
        f"/v1/auth/challenges/{challenge}/verify", json=proof, headers=person.headers
    )
    assert approved.status_code == 200, approved.text
    again = {**sent, "Step-Up": challenge}
    return await person.client.request(method, path, json=body, headers=again)


async def made(person: Person, **changes: object) -> dict[str, Any]:
    """Make a key and return what it answers."""
    body = {"api_name": "Web shop", "scopes": ["wallet:read", "transfers:write"], **changes}
    answer = await confirmed(person, "POST", PATH, body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def program(person: Person, **changes: object) -> Program:
    """Make a key and return what uses it."""
    return Program(person.client, (await made(person, **changes))["api_key"])
