"""Accounts that are closed or refuse to be, for tests of both."""

from typing import Any

import msgspec

from guilder.app.features import MODELS
from guilder.identity.models import User
from guilder.privacy.models import Closing
from guilder.privacy.reader import Person as Subject
from guilder.storage.base import Storage
from guilder.wallets.models import Wallet
from tests.support.http import Person, Running
from tests.support.spenders import code_of

PATH = "/v1/users/me/close"


def subject(person: Person) -> Subject:
    return Subject(user_id=person.user["id"], wallet_id=person.user["wallet_id"])


async def stored_text(storage: Storage) -> str:
    """Return every document of every model."""
    lines: list[str] = []
    for model in MODELS:
        after: Any = None
        while page := await storage.documents(model).page({}, after=after, limit=1000):
            lines += [f"{model.collection} {msgspec.json.encode(each).decode()}" for each in page]
            after = (page[-1].id, page[-1].id)
    return "\n".join(lines)


def refusals(answer: Any) -> set[str]:
    assert code_of(answer) == (409, "account_in_use")
    return {each["code"] for each in answer.json()["errors"]}


async def is_untouched(guilder: Running, person: Person) -> bool:
    storage: Storage = guilder.app.state.storage
    wallet = await storage.documents(Wallet).get(person.user["wallet_id"])
    user = await storage.documents(User).get(person.user["id"])
    closing = await storage.documents(Closing).get(person.user["id"])
    assert wallet is not None
    assert user is not None
    return not (wallet.is_closed or wallet.is_frozen or user.closed_at or closing)
