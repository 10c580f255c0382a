"""Many people looked up at once are found exactly as each of them alone."""

from collections.abc import AsyncIterator

import pytest

from guilder.identity.models import User
from guilder.identity.permissions import Principal
from guilder.identity.service import IdentityService
from guilder.kernel.ids import SessionId
from guilder.notifications.models import Channel
from guilder.storage.base import Storage
from tests.support.identity import HandClock, application, identity_service
from tests.support.letters import latest

EMAILS = {
    "first@example.com": "first",
    "FIRST@Example.COM": "first",
    "second@example.com": "second",
    "nobody@example.com": None,
    "no address": None,
    "": None,
    "+12025550123": None,
    "\ud800@example.com": None,
}
PHONES = {
    "+12025550123": "first",
    "+1 (202) 555-0123": "first",
    "+12025550124": "second",
    "+12025550199": None,
    "2025550123": None,
    "no number": None,
    "": None,
}


@pytest.fixture(params=[False, True], ids=["any", "verified"])
def is_required(request: pytest.FixtureRequest) -> bool:
    """Whether contacts have to be verified."""
    required: bool = request.param
    return required


@pytest.fixture
async def identity(storage: Storage, *, is_required: bool) -> AsyncIterator[IdentityService]:
    """Two people; the first has shown to read her mail, and nothing else was shown."""
    async with identity_service(
        storage, HandClock(), verified_contact_required=is_required
    ) as service:
        applied = application(name="first", email="first@example.com", phone="+12025550123")
        first = (await service.register(applied)).record
        code = (await latest(storage, "first@example.com", "verify_email"))["code"]
        principal = Principal(first.id, first.wallet_id, SessionId("session_test"))
        await service.contacts.verify(principal, Channel.EMAIL, code, client=None)
        await service.register(
            application(name="second", email="second@example.com", phone="+12025550124")
        )
        yield service


def names(found: dict[str, User]) -> dict[str, str]:
    return {text: user.name for text, user in found.items()}


async def test_many_are_found_as_each_alone(
    identity: IdentityService, *, is_required: bool
) -> None:
    seen = {"first"} if is_required else {"first", "second"}
    by_email = names(await identity.directory.by_emails(EMAILS))
    assert by_email == {text: name for text, name in EMAILS.items() if name in seen}
    by_phone = names(await identity.directory.by_phones(PHONES))
    assert by_phone == ({} if is_required else {t: name for t, name in PHONES.items() if name})
    for text in EMAILS:
        user = await identity.find_by_email(text)
        assert (user.name if user else None) == by_email.get(text)
    for text in PHONES:
        user = await identity.find_by_phone(text)
        assert (user.name if user else None) == by_phone.get(text)
