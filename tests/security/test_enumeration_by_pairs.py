"""Nobody learns whether somebody else's contact is in use, with one of their own beside it.

Whoever registers with an address of their own and somebody's number, or the other way round, gets
the same whatever they do next, and whatever comes to their own contacts: ASVS 6.3.8.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from guilder.audit.models import AuditEvent
from guilder.identity.models import User
from guilder.identity.service import IdentityService
from guilder.notifications.models import Channel, Message
from guilder.storage.base import Storage
from tests.support.identity import PASSWORD, HandClock, application, identity_service
from tests.support.identity_http import identity_client
from tests.support.letters import latest, letters

SHOWN = {"email": "owner@example.com", "phone": "+12025550123"}
HELD = {"email": "other@example.com", "phone": "+12025550124"}
FREE = {"email": "nobdy@example.com", "phone": "+12025550199"}
"""Of somebody who has confirmed both; of somebody who has confirmed neither; of nobody."""
OWNERS = "seven unlikely words of the owner"
ID = re.compile(r"(?:user|wallet|session|audit|message)_[0-9a-z]{26}")
WRONG = "00000000"


@pytest.fixture
async def identity(storage: Storage, clock: HandClock) -> AsyncIterator[IdentityService]:
    # The second try comes from the same address as the first, which is not what is measured.
    changes: dict[str, Any] = {"verified_contact_required": True, "throttles_addresses": False}
    async with identity_service(storage, clock, **changes) as service:
        await service.register(application(**SHOWN, password=OWNERS))
        await service.register(application(**HELD, password=OWNERS))
        contact = service.contact(email=SHOWN["email"], phone=None)
        code = (await latest(storage, contact.text, "verify_email"))["code"]
        sign_in = await service.code_sign_in.redeem(contact, code, password=OWNERS, client=None)
        mine = service.principal(sign_in.access_token)
        await service.contacts.resend(mine, Channel.SMS, client=None)
        code = (await latest(storage, SHOWN["phone"], "verify_phone"))["code"]
        await service.contacts.verify(mine, Channel.SMS, code, client=None)
        yield service


@dataclass
class Spy:
    """Somebody with contacts of their own, who writes down all they get to see."""

    identity: IdentityService
    storage: Storage
    client: httpx2.AsyncClient
    emails: tuple[str, ...]
    phone: str
    target: dict[str, str]

    def __post_init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    async def post(
        self, path: str, body: dict[str, str], headers: dict[str, str] | None = None
    ) -> Any:
        """Send a request; note the answer, and return it as JSON."""
        response = await self.client.post(path, json=body, headers=headers)
        shown = response.json() if response.content else None
        noted = dict(shown) if isinstance(shown, dict) else shown
        for secret in ("access_token", "refresh_token", "device_token"):
            if isinstance(noted, dict) and noted.pop(secret, None):
                noted[secret] = "given"
        heads = {key: value for key, value in response.headers.items() if key != "content-length"}
        self.seen.append((path, (response.status_code, heads, noted)))
        return shown

    async def register(self, **named: str) -> None:
        """Register, with the same password each time."""
        await self.post("/register", {**named, "name": "Spy", "password": PASSWORD})

    async def tries(self, named: dict[str, str], headers: dict[str, str] | None = None) -> None:
        """Guess until it takes too long."""
        for _ in range(7):
            await self.post("/login", {**named, "password": PASSWORD}, headers)

    async def letters(self) -> None:
        """Note what has come to contacts of their own."""
        for number, own in enumerate((*self.emails, self.phone)):
            templates = [each.template for each in await letters(self.storage, own)]
            self.seen.append((f"letters {number}", templates))

    async def enter(self, email: str) -> dict[str, str]:
        """Sign in with the code of the registration mail; return headers."""
        found = [each for each in await letters(self.storage, email) if "code" in each.values]
        code = found[-1].values["code"]
        body = {"email": email, "code": code, "password": PASSWORD}
        answer = await self.post("/auth/codes/redeem", body)
        token, device = answer["access_token"], answer["device_token"]
        return {"Authorization": f"Bearer {token}", "Device-Token": device}

    async def copy(self, headers: dict[str, str]) -> None:
        """Note what stands in a copy of one's own data."""
        response = await self.client.get("/users/me", headers=headers)
        self.seen.append(("me", response.json()))
        user_id = response.json()["id"]
        events = await self.storage.documents(AuditEvent).page({}, limit=1000)
        mine = sorted((each.action, each.outcome) for each in events if each.subject == user_id)
        messages = await self.storage.documents(Message).page({}, limit=1000)
        sent = sorted((each.template, each.state) for each in messages if each.user_id == user_id)
        self.seen.append(("copy", (mine, sent)))

    def report(self) -> list[str]:
        """Return what was seen, with names in the place of what differs by itself."""
        names = {value: f"their {name}" for name, value in self.target.items()}
        names |= {own: f"own {number}" for number, own in enumerate((*self.emails, self.phone))}
        lines = []
        for each in self.seen:
            line = repr(each)
            for value, name in names.items():
                line = line.replace(value, name)
            for made in ID.findall(line):
                line = line.replace(made, names.setdefault(made, f"id {len(names)}"))
            lines.append(line)
        return lines


@pytest.fixture
async def client(identity: IdentityService) -> AsyncIterator[httpx2.AsyncClient]:
    async with identity_client(identity) as made:
        yield made


async def with_own_address(spy: Spy) -> None:
    """Use an address of one's own and somebody's number in every way there is."""
    number = {"phone": spy.target["phone"]}
    await spy.register(email=spy.emails[0], **number)
    await spy.register(email=spy.emails[0], **number)
    await spy.register(email=spy.emails[1], **number)
    await spy.letters()
    headers = await spy.enter(spy.emails[0])
    await spy.tries(number)
    # A device that the spy's account knows is none of the number's.
    await spy.tries(number, {"Device-Token": headers["Device-Token"]})
    await spy.post("/users/me/phone/resend", {}, headers)
    await spy.post("/users/me/phone/verify", {"code": WRONG}, headers)
    await spy.post("/auth/codes", number)
    await spy.post("/auth/codes/redeem", {**number, "code": WRONG})
    mine = spy.identity.principal(headers["Authorization"].partition(" ")[2])
    changes = spy.identity.contact_changes
    await changes.begin(mine, changes.wanted(**number), client=None)
    await spy.copy(headers)
    await spy.post("/auth/recovery", {"email": spy.emails[0]})
    link = (await latest(spy.storage, spy.emails[0], "password_reset"))["code"]
    await spy.post(
        "/auth/recovery/complete", {"token": link, "password": "seven other unlikely words"}
    )
    await spy.tries(number)
    await spy.letters()


async def with_own_number(spy: Spy) -> None:
    """Use a number of one's own and somebody's address in every way there is."""
    address = {"email": spy.target["email"]}
    await spy.register(**address)
    await spy.register(**address)
    await spy.register(**address, phone=spy.phone)
    await spy.register(**address, phone=spy.phone)
    await spy.register(email=spy.emails[0], phone=spy.phone)
    await spy.letters()
    await spy.tries(address)
    await spy.tries({"phone": spy.phone})
    await spy.post("/auth/codes", {"phone": spy.phone})
    await spy.post("/auth/codes/redeem", {"phone": spy.phone, "code": WRONG})
    await spy.post("/auth/codes", address)
    await spy.post("/auth/codes/redeem", {**address, "code": WRONG, "password": PASSWORD})
    await spy.post("/auth/recovery", address)
    headers = await spy.enter(spy.emails[0])
    await spy.post("/users/me/phone/resend", {}, headers)
    code = (await latest(spy.storage, spy.phone, "verify_phone"))["code"]
    await spy.post("/users/me/phone/verify", {"code": code}, headers)
    await spy.copy(headers)
    await spy.letters()


@pytest.mark.parametrize("script", [with_own_address, with_own_number])
async def test_asvs_6_3_8_a_pair_tells_nothing_about_the_other_half(
    identity: IdentityService, storage: Storage, client: httpx2.AsyncClient, script: Any
) -> None:
    reports = []
    for number, target in enumerate((FREE, HELD, SHOWN)):
        emails = (f"spy-{number}@example.com", f"spy2-{number}@example.com")
        spy = Spy(identity, storage, client, emails, f"+1202555013{number}", target)
        await script(spy)
        reports.append(spy.report())
    assert reports[0] == reports[1]
    assert reports[0] == reports[2]


async def test_asvs_6_3_8_as_much_is_stored_for_a_pair(
    identity: IdentityService, storage: Storage
) -> None:
    # An account, and as many messages and events, whether the number is free or not.
    grown = []
    for number, target in enumerate((FREE, HELD, SHOWN)):
        before = await counted(storage)
        email = f"spy-{number}@example.com"
        await identity.register(application(email=email, phone=target["phone"]))
        after = await counted(storage)
        grown.append([now - then for now, then in zip(after, before, strict=True)])
    assert grown == [[1, 2, 1]] * 3


async def counted(storage: Storage) -> list[int]:
    """Return how many users, messages and events there are."""
    models = (User, Message, AuditEvent)
    return [len(await storage.documents(each).page({}, limit=1000)) for each in models]


async def test_asvs_6_3_8_losing_a_number_shows_nowhere(
    identity: IdentityService, storage: Storage, clock: HandClock
) -> None:
    (spy,) = [
        each
        for each in await storage.documents(User).page({}, limit=10)
        if identity.record_of(each).phone == HELD["phone"]
    ]
    before = identity.record_of(spy)
    events = await storage.documents(AuditEvent).page({}, limit=1000)
    clock.move(minutes=1)
    owner = (await identity.register(application(phone=HELD["phone"]))).record
    contact = identity.contact(email=owner.email, phone=None)
    code = (await latest(storage, contact.text, "verify_email"))["code"]
    sign_in = await identity.code_sign_in.redeem(contact, code, password=PASSWORD, client=None)
    principal = identity.principal(sign_in.access_token)
    await identity.contacts.resend(principal, Channel.SMS, client=None)
    code = (await latest(storage, HELD["phone"], "verify_phone"))["code"]
    await identity.contacts.verify(principal, Channel.SMS, code, client=None)
    found = await identity.find_by_phone(HELD["phone"])
    assert found
    assert found.id == owner.id
    after = await identity.get_user(spy.user_id)
    assert after
    assert identity.record_of(after) == before
    assert [each.template for each in await letters(storage, HELD["email"])] == ["verify_email"]
    late = await storage.documents(AuditEvent).page({}, limit=1000)
    assert [each.subject for each in late].count(spy.id) == [each.subject for each in events].count(
        spy.id
    )
