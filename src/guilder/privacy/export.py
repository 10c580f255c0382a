"""The copy: everything that is kept about a person, as one JSON document, written as it is read."""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from guilder.identity.service import IdentityService
from guilder.kernel.clock import Clock, rfc3339
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import UserId
from guilder.privacy.holdings import HOLDINGS
from guilder.privacy.reader import Person, documents_of, written
from guilder.storage.base import Storage, TransferFilter
from guilder.vault.vault import Vault
from guilder.wallets.rules import HISTORY_KINDS
from guilder.wallets.schemas import TransactionAnswer, WalletAnswer
from guilder.wallets.service import WalletService

FORMAT: Final = "guilder.personal-data"
FORMAT_VERSION: Final = 1
_LINES = 200
_encode = msgspec.json.Encoder().encode


class Exporter:
    """Makes copies. Reads only, a page at a time, so a long history costs no memory."""

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        vault: Vault,
        identity: IdentityService,
        wallets: WalletService,
    ) -> None:
        """Take what reading needs; does nothing yet."""
        self._storage = storage
        self._clock = clock
        self._vault = vault
        self._identity = identity
        self._wallets = wallets

    async def person(self, user_id: UserId) -> Person:
        """Return whose copy it would be.

        Raises:
            NotFound: There is no such user.
        """
        user = await self._identity.get_user(user_id)
        if user is None:
            raise NotFound
        return Person(user_id=user.user_id, wallet_id=user.wallet_id)

    async def pieces(self, person: Person) -> AsyncIterator[bytes]:
        """Yield the document piece by piece.

        Invariants:
            Holds no secret, and of others no more than the history of the wallet shows. Cut off
            in the middle, it is no JSON: nobody takes half of it for the whole.
        """
        head = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "made_at": rfc3339(self._clock()),
            "user_id": person.user_id,
            "wallet_id": person.wallet_id,
        }
        yield _encode(head)[:-1]
        async for piece in _list("balances", self._balances(person)):
            yield piece
        async for piece in _list("transactions", self._transactions(person)):
            yield piece
        for holding in HOLDINGS:
            found = documents_of(self._storage, holding, person)
            rows = (written(each, holding, self._vault) async for each in found)
            async for piece in _list(holding.section, rows):
                yield piece
        yield b"}\n"

    async def _balances(self, person: Person) -> AsyncIterator[Any]:
        view = WalletAnswer.of(await self._wallets.view(person.wallet_id))
        for each in view.balances:
            yield each.model_dump(mode="json")

    async def _transactions(self, person: Person) -> AsyncIterator[Any]:
        before: int | None = None
        wanted = TransferFilter(kinds=HISTORY_KINDS)
        while True:
            lines = await self._wallets.history(
                person.wallet_id, wanted, currency=None, before_position=before, limit=_LINES
            )
            parties = await self._wallets.counterparties(lines)
            for line in lines:
                party = parties[line.counterparty_account_id]
                answer = TransactionAnswer.of(line, wallet_id=person.wallet_id, party=party)
                yield answer.model_dump(mode="json")
            if len(lines) < _LINES:
                return
            before = lines[-1].transfer.position


async def _list(name: str, rows: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    """Yield one member of the document: a list, a row a line."""
    yield b",\n" + _encode(name) + b":["
    separator = b"\n"
    async for row in rows:
        yield separator + _encode(row)
        separator = b",\n"
    yield b"]"
