"""Many transfers of one sender in one request: each for itself, or all of them or none."""

import asyncio
from collections.abc import Iterable, Sequence
from uuid import UUID

from msgspec import Struct

from guilder.identity.authentication import Principal
from guilder.identity.service import IdentityService
from guilder.kernel.clock import Clock, utc_now
from guilder.kernel.currency import UnknownCurrency, currency
from guilder.kernel.errors import GuilderError, NotFound
from guilder.kernel.ids import WalletId, derived_uuid
from guilder.ledger.errors import AccountClosed, GroupFailed, IdempotencyKeyReused
from guilder.ledger.journal import Journal
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.storage.records import Transfer
from guilder.transfers.service import (
    Instruction,
    transfer_id_of,
    transfer_request,
)
from guilder.wallets.accounts import wallet_account_id
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.limits import NO_LIMITS, SpendingLimits, refused
from guilder.wallets.recipients import Recipient, find_recipient
from guilder.wallets.service import WalletService

ITEMS_MAX = 1_000


class Result(Struct, frozen=True, kw_only=True):
    """What became of one item: a transfer, or why there is none."""

    key: str
    transfer: Transfer | None = None
    is_replayed: bool = False
    error: GuilderError | None = None


class TransferBatches:
    """Batches of transfers between wallets."""

    def __init__(
        self,
        *,
        journal: Journal,
        wallets: WalletService,
        identity: IdentityService,
        limits: SpendingLimits = NO_LIMITS,
        clock: Clock = utc_now,
    ) -> None:
        """Take what single transfers need too."""
        self._journal = journal
        self._wallets = wallets
        self._identity = identity
        self._limits = limits
        self._clock = clock

    async def send(
        self, sender: Principal, items: Sequence[Instruction], *, group: str | None
    ) -> list[Result]:
        """Send every item, in order, with nobody else's transfers in between.

        Args:
            items: 1 to `ITEMS_MAX`, each under a key of its own: the same
                transfer as if it had been sent alone under that key.
            group: The key under which all are sent or none; None lets each stand for itself.

        Returns:
            One result for each item, in their order.

        Raises:
            Unavailable: The outcome is unknown; ask again under the same keys.
        """
        group_id = None if group is None else derived_uuid("batch", sender.user_id, group)
        asked = await self._requests(sender, items, group_id)
        failed = [each for each in asked if isinstance(each, GuilderError)]
        if failed:
            known = await self._known(sender, items)
            if group is not None:
                return _without_group(items, asked, known)
        else:
            known = {}
        requests = [each for each in asked if isinstance(each, TransferRequest)]
        outcomes = iter(await self._journal.post_all(requests) if requests else ())
        return [
            self._result(item.key, next(outcomes))
            if isinstance(each, TransferRequest)
            else _refused_or_known(item, each, known.get(item.key))
            for item, each in zip(items, asked, strict=True)
        ]

    async def _known(self, sender: Principal, items: Sequence[Instruction]) -> dict[str, Transfer]:
        """Return what the journal has under the items' keys."""
        ids = {transfer_id_of(sender, item.key): item.key for item in items}
        found = await self._journal.book.transfers(list(ids))
        return {ids[transfer_id]: transfer for transfer_id, transfer in found.items()}

    async def _requests(
        self, sender: Principal, items: Sequence[Instruction], group_id: UUID | None
    ) -> list[TransferRequest | GuilderError]:
        """Return what to ask for each item, or why it cannot be asked for."""
        wallets = await self._find_all({item.recipient for item in items})
        asked: list[TransferRequest | GuilderError] = []
        wanted: set[tuple[WalletId, str]] = set()
        for item in items:
            to = wallets[item.recipient]
            try:
                currency(item.currency)
                # No wallet has an empty id: nobody's is refused like one that there is not.
                request = transfer_request(
                    sender, item, to=to or WalletId(""), limits=self._limits, group_id=group_id
                )
            except UnknownCurrency as error:
                asked.append(error)
            except NotFound:
                asked.append(RecipientNotFound())
            else:
                asked.append(request)
                wanted |= {(WalletId(request.metadata["to"]), item.currency)}
                wanted |= {(sender.wallet_id, item.currency)}
        refusals = await self._open(wanted)
        return [
            refusals.get(each.credit_account_id, each)
            if isinstance(each, TransferRequest)
            else each
            for each in asked
        ]

    async def _find_all(self, recipients: Iterable[Recipient]) -> dict[Recipient, WalletId | None]:
        async def find(recipient: Recipient) -> WalletId | None:
            try:
                return await find_recipient(self._identity, recipient)
            except RecipientNotFound:
                return None

        known = list(recipients)
        return dict(zip(known, await asyncio.gather(*map(find, known)), strict=True))

    async def _open(self, wanted: set[tuple[WalletId, str]]) -> dict[UUID, GuilderError]:
        """Open the accounts that are missing; return why not, by account."""
        ids = {wallet_account_id(wallet, asset): (wallet, asset) for wallet, asset in wanted}
        opened = await self._journal.book.accounts(list(ids))
        refusals: dict[UUID, GuilderError] = {}
        for account_id in ids.keys() - opened.keys():
            wallet_id, asset = ids[account_id]
            if not await self._wallets.exists(wallet_id):
                refusals[account_id] = RecipientNotFound()
                continue
            try:
                await self._wallets.open_accounts([wallet_id], asset)
            except AccountClosed as error:
                refusals[account_id] = error
        return refusals

    def _result(self, key: str, outcome: Outcome) -> Result:
        if outcome.verdict in (Verdict.CREATED, Verdict.EXISTS):
            is_replayed = outcome.verdict is Verdict.EXISTS
            return Result(key=key, transfer=outcome.transfer, is_replayed=is_replayed)
        return Result(key=key, error=refused(outcome, now=self._clock()))


def _refused_or_known(item: Instruction, error: GuilderError, known: Transfer | None) -> Result:
    """Return what was sent before under the key, although it could not be sent now."""
    if known is None:
        return Result(key=item.key, error=error)
    if known.fingerprint != item.fingerprint:
        return Result(key=item.key, error=IdempotencyKeyReused())
    return Result(key=item.key, transfer=known, is_replayed=True)


def _without_group(
    items: Sequence[Instruction],
    asked: Sequence[TransferRequest | GuilderError],
    known: dict[str, Transfer],
) -> list[Result]:
    """Return the results of a group that cannot be sent: it was before, or nothing is."""
    before = [
        _refused_or_known(
            item, each if isinstance(each, GuilderError) else GroupFailed(), known.get(item.key)
        )
        for item, each in zip(items, asked, strict=True)
    ]
    if all(result.error is None for result in before):
        return before
    return [
        result if result.error is not None else Result(key=result.key, error=GroupFailed())
        for result in before
    ]
