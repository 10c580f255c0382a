"""A random book in memory by the real journal, and the same history with one thing changed."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from guilder.ledger.journal import Journal
from guilder.ledger.limits import Limit, Window
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.storage.base import LedgerStorage
from guilder.storage.records import TransferKind
from tests.support.books import NOON, account, request, transfer_id

NAMES = ("payer", "payee", "third", "fourth")
LIMIT = Limit(name="daily", subject="payer", maximum=1_000_000, window=Window.EVER)


def random_requests(dice: random.Random, count: int) -> list[TransferRequest]:
    """Return requests of every kind; some will be refused."""
    found = [request("mint", name, 1_000, id=transfer_id(name)) for name in NAMES]
    holds: list[TransferRequest] = []
    for number in range(count):
        fields: dict[str, Any] = {"id": transfer_id(number), "reference": str(dice.random())}
        roll = dice.random()
        if roll < 0.2 and holds:
            hold = dice.choice(holds)
            kind = dice.choice(list(TransferKind)[2:])
            amount = 0 if kind is TransferKind.RELEASE else dice.randint(1, 20)
            found.append(replace(hold, **fields, kind=kind, amount_minor=amount, hold_id=hold.id))
        elif roll < 0.3:
            paid = dice.choice(found)
            if paid.kind is TransferKind.POST and paid.reverses_id is None:
                fields |= {"reverses_id": paid.id, "limits": ()}
                fields |= {"debit_account_id": paid.credit_account_id}
                fields |= {"credit_account_id": paid.debit_account_id, "amount_minor": 1}
                found.append(replace(paid, **fields))
        else:
            one, other = dice.sample(NAMES, 2)
            kind = TransferKind.HOLD if roll < 0.5 else TransferKind.POST
            fields |= {"metadata": {"n": str(number)}, "limits": (LIMIT,) if roll > 0.8 else ()}
            found.append(request(one, other, dice.randint(1, 90), kind=kind, **fields))
            if kind is TransferKind.HOLD:
                holds.append(found[-1])
    return found


async def write_book(
    book: LedgerStorage, requests: Sequence[TransferRequest]
) -> list[TransferRequest]:
    """Write requests one by one, as the same requests always are; return those that were taken."""
    await book.open_accounts([account(name) for name in ("mint", *NAMES)])
    journal = Journal(book)
    await journal.start()
    outcomes: list[Outcome] = [await journal.post(each) for each in requests]
    await journal.stop()
    return [
        each
        for each, outcome in zip(requests, outcomes, strict=True)
        if outcome.verdict is Verdict.CREATED
    ]


def tampered(dice: random.Random, requests: Sequence[TransferRequest]) -> list[TransferRequest]:
    """Return the requests of another history: one dropped, added, moved or changed."""
    changed = list(requests)
    index = dice.randrange(len(NAMES), len(changed))
    one = changed[index]
    match dice.randrange(7):
        case 0:
            del changed[index]
        case 1:
            changed.insert(index, request("mint", "third", 1))
        case 2:
            changed[index] = replace(one, reference=one.reference + "1")
        case 3:
            changed[index] = replace(one, metadata={**one.metadata, "to": "somebody else"})
        case 4:
            changed[index] = replace(one, fingerprint=bytes(32))
        case 5:
            first = dice.randrange(len(NAMES))
            changed[first] = replace(changed[first], amount_minor=1_000 + dice.randint(1, 9_000))
        case _:
            changed[index] = replace(one, effective_at=_earlier(dice))
    return changed


def _earlier(dice: random.Random) -> datetime:
    return NOON - timedelta(days=dice.randint(1, 999))
