"""Who writes into a book next: a short lease on its head.

The lease only chooses the writer. What keeps the books right is that every commit changes the head
document from the fence and revision it was taken at, or does not happen at all. So a writer that
was paused, and whose lease another one took, cannot commit. A lease lasts less than two seconds;
one that works longer says so in time, in a document of its own (the pulse). MongoDB keeps the open
transaction of a dead process, and the locks it holds, for a minute: who takes over a lease ends
that transaction first.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID, uuid4

from bson.int64 import Int64
from pymongo import WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from guilder.storage.errors import StorageUnavailable
from guilder.storage.mongo.engine import Body, Engine, Session, to_the_end
from guilder.storage.mongo.ledger_shapes import head_of
from guilder.storage.mongo.translate import translate_errors
from guilder.storage.records import Head

LEASE_MS = 1_750
"""A process killed while it holds the head blocks the others for two seconds at most: so long, and
what it takes to find out."""
PULSE_S = 0.5
"""Beats that fit into a lease with two to spare."""
WAIT_S = 5.0
"""For the head. Then the caller is told to come back."""
_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.02
_TAKE_MS = 1_000
"""Taking waits for nothing but the end of a transaction that is being killed."""

# Losing a lease costs a retry, so it need not be on disk before the batch goes on.
_QUICK = WriteConcern(1)
_LATEST = ReadConcern("local")


class Lease:
    """The head of a book while it is ours.

    Attributes:
        head: Where the book ends.
        now: Database time when it was taken; not before the last batch's.
        fence: Grows with every lease.
    """

    __slots__ = ("fence", "head", "now")

    def __init__(self, body: Body) -> None:
        self.head: Head = head_of(body)
        self.now: datetime = max(body["changed_at"], body["lease"]["taken_at"])
        self.fence = int(body["fence"])


class Seat:
    """The place at a book's head of this process. Its batches take turns here first.

    Args:
        engine: Where the head is.
        collection: Of the head.
    """

    def __init__(self, engine: Engine, collection: str) -> None:
        self._engine = engine
        self._collection = collection
        self._holder = str(uuid4())
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def take(self, session: Session) -> AsyncIterator[Lease]:
        """Take the head, for as long as the block lasts.

        A commit that moves the head gives it back by itself; otherwise `give_back` does.

        Raises:
            StorageUnavailable: Others have kept it for `WAIT_S`.
        """
        async with self._turn:
            lease = await self._wait(session)
            beats: list[asyncio.Task[None]] = []
            is_over = asyncio.Event()
            loop = asyncio.get_running_loop()
            timer = loop.call_later(
                PULSE_S, lambda: beats.append(loop.create_task(self._beat(lease.fence, is_over)))
            )
            try:
                yield lease
            finally:
                timer.cancel()
                # The driver may lose a cancellation that comes as an answer does.
                is_over.set()
                for beat in beats:
                    beat.cancel()

    async def give_back(self, fence: int) -> None:
        """Free the head if it is still ours. If that fails, we may take it again at once."""
        command = {
            "update": self._collection,
            "updates": [
                {"q": {"_id": "head", "fence": Int64(fence)}, "u": {"$set": {"lease": None}}}
            ],
            "maxTimeMS": _TAKE_MS,
            "writeConcern": _QUICK.document,
        }
        with contextlib.suppress(PyMongoError, OSError):
            await self._engine.database.command(command)

    async def _wait(self, session: Session) -> Lease:
        """Take the head when it is free, or when its holder is ourselves or dead."""
        loop = asyncio.get_running_loop()
        deadline, pause_s = loop.time() + WAIT_S, _FIRST_PAUSE_S
        lease = await self._try(session, {"lease": None})
        while lease is None:
            seen = await self._look()
            held = seen["lease"]
            if held is None:
                lease = await self._try(session, {"lease": None})
            elif held["holder"] == self._holder or await self._is_over(seen):
                await self._end_session(held["session"])
                lease = await self._try(session, {"fence": seen["fence"]})
            if lease is None:
                if loop.time() >= deadline:
                    raise StorageUnavailable("Other writers keep the book.", retry_after_s=1)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return lease

    async def _try(self, session: Session, wanted: Body) -> Lease | None:
        """Take the head if it is as wanted. The session's next transaction sees that."""
        command = {
            "findAndModify": self._collection,
            "query": {"_id": "head", **wanted},
            "update": [
                {
                    "$set": {
                        "fence": {"$add": ["$fence", Int64(1)]},
                        "lease": {
                            "holder": self._holder,
                            "session": session.session_id["id"],
                            "taken_at": "$$NOW",
                            "until": {"$add": ["$$NOW", LEASE_MS]},
                        },
                    }
                }
            ],
            "new": True,
            "maxTimeMS": _TAKE_MS,
            "writeConcern": _QUICK.document,
        }
        database = self._engine.database
        with translate_errors():
            answer = await to_the_end(
                database.command(command, session=session, codec_options=database.codec_options)
            )
        return None if answer["value"] is None else Lease(answer["value"])

    async def _look(self) -> Body:
        """Return the lease, the fence and the database's time as they are this moment."""
        with translate_errors():
            seen = await to_the_end(
                self._heads().find_one({"_id": "head"}, {"lease": 1, "fence": 1, "now": "$$NOW"})
            )
        if seen is None:
            raise StorageUnavailable(f"{self._collection} is not there: run the migrations.")
        return seen

    async def _is_over(self, seen: Body) -> bool:
        """Tell whether the holder has neither ended in time nor said that it needs longer."""
        if seen["now"] < seen["lease"]["until"]:
            return False
        with translate_errors():
            pulse = await to_the_end(self._heads().find_one({"_id": "pulse"}))
        return (
            pulse is None or pulse["fence"] != seen["fence"] or bool(pulse["until"] <= seen["now"])
        )

    async def _end_session(self, session_id: UUID) -> None:
        """Roll back what the last holder has left open."""
        admin = self._engine.client.admin
        with translate_errors():
            await to_the_end(
                admin.command(
                    "killSessions", [{"id": session_id}], codec_options=admin.codec_options
                )
            )

    async def _beat(self, fence: int, is_over: asyncio.Event) -> None:
        """Say over and over that a batch takes longer."""
        while not is_over.is_set():
            with contextlib.suppress(StorageUnavailable), translate_errors():
                await self._heads().update_one(
                    {"_id": "pulse"},
                    [
                        {
                            "$set": {
                                "fence": Int64(fence),
                                "until": {"$add": ["$$NOW", LEASE_MS]},
                            }
                        }
                    ],
                    upsert=True,
                )
            await asyncio.sleep(PULSE_S)

    def _heads(self) -> AsyncCollection[Body]:
        return self._engine.database[self._collection].with_options(
            read_concern=_LATEST, write_concern=_QUICK
        )
