"""Changes to a stored audit record, by whoever owns the database. Each is drawn by lot."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from guilder.audit.models import (
    GENESIS_HASH,
    HEAD_ID,
    AuditEvent,
    AuditHead,
    AuditSeal,
    AuditWaiting,
)
from guilder.audit.sealer import seals_after
from guilder.storage.base import Document
from tests.support.audit import OTHER

SEALED, WAITING = 12, 2
"""How many events of each kind the record must have."""

Documents = dict[type[Document], dict[str, Document]]


class Stored:
    """A copy of the stored record that a tamper works on."""

    def __init__(self, documents: Documents, dice: random.Random) -> None:
        self.documents = {model: dict(found) for model, found in documents.items()}
        self.dice = dice

    @property
    def events(self) -> dict[str, Any]:
        return self.documents[AuditEvent]

    @property
    def seals(self) -> dict[str, Any]:
        return self.documents[AuditSeal]

    @property
    def waiting(self) -> dict[str, Any]:
        return self.documents[AuditWaiting]

    @property
    def head(self) -> Any:
        return self.documents[AuditHead][HEAD_ID]

    @head.setter
    def head(self, head: AuditHead) -> None:
        self.documents[AuditHead][HEAD_ID] = head

    @property
    def order(self) -> list[str]:
        """The ids of the sealed events, in the order of the chain."""
        return sorted(self.seals, key=lambda each: int(self.seals[each].position))

    def any(self) -> str:
        """Return the id of one sealed event."""
        return self.dice.choice(self.order)

    def forged(self) -> AuditEvent:
        """Return an event that nobody recorded, from somewhere in the past."""
        model = self.events[self.any()]
        return replace(  # type: ignore[no-any-return]
            model, id=model.id[:-4] + "".join(self.dice.sample("0123456789abcdef", 4)), actor=OTHER
        )

    def rewrite(self, events: Sequence[AuditEvent]) -> None:
        """Compute a whole new chain over `events`, as its owner could."""
        start = AuditHead(
            id=HEAD_ID,
            position=0,
            hash=GENESIS_HASH,
            created_at=self.head.created_at,
            updated_at=self.head.updated_at,
        )
        seals = seals_after(start, events, now=self.head.updated_at)
        self.documents[AuditSeal] = {each.id: each for each in seals}
        self.documents[AuditEvent] = {
            **{each: self.events[each] for each in self.waiting},
            **{each.id: each for each in events},
        }
        self.head = replace(start, position=seals[-1].position, hash=seals[-1].hash)


def edit(stored: Stored) -> None:
    """Change one field of one event."""
    event = stored.events[stored.any()]
    change: dict[str, Any] = stored.dice.choice(
        [
            {"action": "session.closed"},
            {"actor": "system"},
            {"subject": "unknown"},
            {"outcome": "refused"},
            {"details": {"number": "99"}},
            {"details": {}},
            {"address": None},
            {"address": "0" * 32},
            {"created_at": event.created_at + timedelta(milliseconds=1)},
        ]
    )
    stored.events[event.id] = replace(event, **change)


def edit_seal(stored: Stored) -> None:
    """Change one seal: its hash, its time."""
    seal = stored.seals[stored.any()]
    change: dict[str, Any] = stored.dice.choice(
        [{"hash": "0" * 64}, {"created_at": seal.created_at + timedelta(seconds=1)}]
    )
    stored.seals[seal.id] = replace(seal, **change)


def delete(stored: Stored) -> None:
    """Remove an event, its seal, or both."""
    gone = stored.any()
    parts = stored.dice.choice(([stored.events], [stored.seals], [stored.events, stored.seals]))
    for part in parts:
        del part[gone]


def delete_and_close(stored: Stored) -> None:
    """Remove an event and move the later ones up, with the hashes that they have."""
    gone = stored.any()
    at = stored.seals[gone].position
    del stored.events[gone], stored.seals[gone]
    for each, seal in list(stored.seals.items()):
        if seal.position > at:
            stored.seals[each] = replace(seal, position=seal.position - 1)
    stored.head = replace(stored.head, position=stored.head.position - 1)


def insert(stored: Stored) -> None:
    """Add an event: without a place, before the beginning, between others, or at the end."""
    event = stored.forged()
    stored.events[event.id] = event
    at = stored.dice.choice((None, 0, SEALED + 1, stored.dice.randint(1, SEALED)))
    if at is None:
        return
    for each, seal in list(stored.seals.items()):
        if 0 < at <= seal.position:
            stored.seals[each] = replace(seal, position=seal.position + 1)
    stored.seals[event.id] = replace(
        stored.seals[stored.any()], id=event.id, position=at, hash="0" * 64
    )
    if at and stored.dice.random() < 0.5:
        stored.head = replace(stored.head, position=stored.head.position + 1)


def reorder(stored: Stored) -> None:
    """Let two events change places, or change what stands in them."""
    first, second = stored.dice.sample(stored.order, 2)
    one, two = stored.seals[first], stored.seals[second]
    if stored.dice.random() < 0.5:
        stored.seals[first] = replace(one, position=two.position)
        stored.seals[second] = replace(two, position=one.position)
        return
    left, right = stored.events[first], stored.events[second]
    stored.events[first] = replace(right, id=first)
    stored.events[second] = replace(left, id=second)


def truncate(stored: Stored) -> None:
    """Cut the end off and leave the head."""
    for each in stored.order[-stored.dice.randint(1, SEALED) :]:
        del stored.events[each], stored.seals[each]


def break_head(stored: Stored) -> None:
    """Change the head, or remove it."""
    change: dict[str, Any] | None = stored.dice.choice(
        (None, {"position": SEALED - 1}, {"position": SEALED + 1}, {"hash": "0" * 64})
    )
    if change is None:
        del stored.documents[AuditHead][HEAD_ID]
    else:
        stored.head = replace(stored.head, **change)


def break_waiting(stored: Stored) -> None:
    """Let an event wait that is sealed, one never be sealed, or one vanish before it is."""
    unsealed = stored.dice.choice(sorted(stored.waiting))
    match stored.dice.randint(1, 3):
        case 1:
            sealed = stored.any()
            stored.waiting[sealed] = replace(stored.waiting[unsealed], id=sealed)
        case 2:
            del stored.waiting[unsealed]
        case _:
            del stored.events[unsealed]


def rewrite_edited(stored: Stored) -> None:
    """Change an event and compute every hash anew."""
    edit(stored)
    stored.rewrite([stored.events[each] for each in stored.order])


def rewrite_without(stored: Stored) -> None:
    """Remove events, perhaps add others, and compute every hash anew."""
    gone = set(stored.dice.sample(stored.order, stored.dice.randint(1, 3)))
    left = [stored.events[each] for each in stored.order if each not in gone]
    stored.rewrite([*left, *(stored.forged() for _ in range(stored.dice.randint(0, 1)))])


def rewrite_with(stored: Stored) -> None:
    """Add an event and compute every hash anew."""
    events = [stored.events[each] for each in stored.order]
    events.insert(stored.dice.randint(0, SEALED - 1), stored.forged())
    stored.rewrite(events)


def rewrite_reordered(stored: Stored) -> None:
    """Let neighbours change places and compute every hash anew."""
    events = [stored.events[each] for each in stored.order]
    at = stored.dice.randint(1, SEALED - 1)
    events[at - 1], events[at] = events[at], events[at - 1]
    stored.rewrite(events)


def rewrite_truncated(stored: Stored) -> None:
    """Cut the end off and set the head back."""
    stored.rewrite([stored.events[each] for each in stored.order[: stored.dice.randint(1, 11)]])


Tamper = Callable[[Stored], None]
SEEN_INSIDE: tuple[Tamper, ...] = (
    edit,
    edit_seal,
    delete,
    delete_and_close,
    insert,
    reorder,
    truncate,
    break_head,
    break_waiting,
)
SEEN_OUTSIDE: tuple[Tamper, ...] = (
    rewrite_edited,
    rewrite_without,
    rewrite_with,
    rewrite_reordered,
    rewrite_truncated,
)
