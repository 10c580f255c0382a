"""Nobody learns from an answer whether an account exists, whatever they ask: ASVS 6.3.8."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from guilder.audit.models import AuditEvent
from guilder.identity.models import MailLink, OneTimeCode, Throttle
from guilder.identity.service import IdentityService
from guilder.notifications.models import Channel, Message
from guilder.storage.base import Document, Storage
from tests.support.identity import PASSWORD, HandClock, application, identity_service
from tests.support.identity_http import identity_client
from tests.support.letters import latest, letters

EMAIL, PHONE = "payer@example.com", "+12025550123"
NO_EMAIL, NO_PHONE = "niemand@example.com", "+12025550199"
KEPT: tuple[type[Document], ...] = (AuditEvent, MailLink, Message, OneTimeCode, Throttle)
CODE = {"code": "12345678"}
REQUESTS: list[tuple[str, dict[str, str], dict[str, str], int]] = [
    ("/login", {"email": EMAIL}, {"password": "none of anybody's"}, 401),
    ("/login", {"phone": PHONE}, {"password": "none of anybody's"}, 401),
    ("/auth/codes", {"email": EMAIL}, {}, 202),
    ("/auth/codes", {"phone": PHONE}, {}, 202),
    ("/auth/codes/redeem", {"email": EMAIL}, CODE, 422),
    ("/auth/codes/redeem", {"phone": PHONE}, CODE, 422),
    ("/auth/codes/redeem", {"email": EMAIL}, {**CODE, "password": PASSWORD}, 422),
    ("/auth/recovery", {"email": EMAIL}, {}, 202),
]


@pytest.fixture
async def identity(storage: Storage) -> AsyncIterator[IdentityService]:
    async with identity_service(storage, HandClock()) as service:
        await service.register(application(email=EMAIL, phone=PHONE))
        sign_in = await service.login(email=EMAIL, password=PASSWORD)
        mine = service.principal(sign_in.access_token)
        code = (await latest(storage, EMAIL, "verify_email"))["code"]
        await service.contacts.verify(mine, Channel.EMAIL, code, client=None)
        await service.contacts.resend(mine, Channel.SMS, client=None)
        code = (await latest(storage, PHONE, "verify_phone"))["code"]
        await service.contacts.verify(mine, Channel.SMS, code, client=None)
        yield service


@pytest.fixture
async def client(identity: IdentityService) -> AsyncIterator[httpx2.AsyncClient]:
    async with identity_client(identity) as made:
        yield made


def unknown(named: dict[str, str]) -> dict[str, str]:
    """Return somebody else in the place of whoever is named."""
    return {name: {EMAIL: NO_EMAIL, PHONE: NO_PHONE}[value] for name, value in named.items()}


async def kept(storage: Storage) -> dict[str, int]:
    """Return how much is stored."""
    counts = {}
    for model in KEPT:
        counts[model.collection] = len(await storage.documents(model).page({}, limit=1000))
    return counts


def shown(response: httpx2.Response) -> tuple[int, dict[str, str], Any]:
    return response.status_code, dict(response.headers), response.json()


@pytest.mark.parametrize(("path", "named", "more", "status"), REQUESTS)
async def test_asvs_6_3_8_known_and_unknown_are_answered_alike(
    client: httpx2.AsyncClient,
    path: str,
    named: dict[str, str],
    more: dict[str, str],
    status: int,
) -> None:
    known = await client.post(path, json={**named, **more})
    other = await client.post(path, json={**unknown(named), **more})
    assert known.status_code == status, known.text
    assert shown(known) == shown(other)
    # Nor does what was asked for come back.
    assert not re.search(f"{EMAIL}|{re.escape(PHONE)}", known.text)


@pytest.mark.parametrize(("path", "named", "more", "status"), REQUESTS)
async def test_asvs_6_3_8_known_and_unknown_wait_alike(
    client: httpx2.AsyncClient,
    path: str,
    named: dict[str, str],
    more: dict[str, str],
    status: int,
) -> None:
    async def answers(named: dict[str, str]) -> list[tuple[int, dict[str, str], Any]]:
        return [shown(await client.post(path, json={**named, **more})) for _ in range(8)]

    client.headers["X-Test"] = "from nowhere known"
    known, other = await answers(named), await answers(unknown(named))
    codes = [each[0] for each in known]
    assert codes[0] == status
    assert codes[-1] == 429
    assert known[-1] == other[-1]
    assert codes == [each[0] for each in other]


@pytest.mark.parametrize(
    ("path", "named"), [(path, named) for path, named, more, _ in REQUESTS if not more]
)
async def test_asvs_6_3_8_as_much_is_stored_for_nobody(
    client: httpx2.AsyncClient, storage: Storage, path: str, named: dict[str, str]
) -> None:
    grown = []
    # Once before: a code that is there is replaced, for known and unknown alike.
    for each in (named, unknown(named)):
        await client.post(path, json=each)
        before = await kept(storage)
        await client.post(path, json=each)
        after = await kept(storage)
        grown.append({name: after[name] - before[name] for name in after})
    assert grown[0] == grown[1]
    assert grown[0]["messages"] == grown[0]["audit_events"] == 1
    for nobody in (NO_EMAIL, NO_PHONE):
        assert await letters(storage, nobody) == []


async def test_asvs_6_3_8_no_trace_of_who_was_asked_for(
    client: httpx2.AsyncClient, storage: Storage
) -> None:
    await client.post("/auth/codes", json={"email": NO_EMAIL})
    await client.post("/auth/recovery", json={"email": NO_EMAIL})
    for model in KEPT:
        for document in await storage.documents(model).page({}, limit=1000):
            assert "niemand" not in repr(document)
