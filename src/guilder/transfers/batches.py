"""Many transfers of one sender in one request: each for itself, or all of them or none."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

from msgspec import Struct

from guilder.identity.authentication import Principal
from guilder.identity.service import IdentityService
from guilder.kernel.clock import Clock, utc_now
from guilder.kernel.currency import UnknownCurrency, currency
from guilder.kernel.errors import GuilderError, NotFound
from guilder.kernel.ids import WalletId, derived_uuid
from guilder.ledger.errors import AccountClosed, GroupFailed, IdempotencyKeyReused
from guilder.ledger.journal import BATCH_MAX, Journal
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.ledger.preview import preview
from guilder.storage.records import Account, Transfer
from guilder.storage.turns import in_turns
from guilder.transfers.service import (
    Instruction,
    transfer_id_of,
    transfer_request,
)
from guilder.wallets.errors import RecipientNotFound
from guilder.wallets.limits import NO_LIMITS, LimitSource, refused
from guilder.wallets.recipients import find_recipients
from guilder.wallets.service import WalletService

ITEMS_MAX = BATCH_MAX
"""As many as the journal takes at once."""


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
        limits: LimitSource = NO_LIMITS,
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
        asked = await self._requests(sender, items, group)
        refused_early = await self._refused_early(sender, items, asked, group=group)
        if refused_early is not None:
            return refused_early
        requests = [each for each in asked if isinstance(each, TransferRequest)]
        foreseen = await self._open(sender, requests)
        sent = [each for each in requests if each.id not in foreseen]
        outcomes = iter(await self._journal.post_all(sent) if sent else ())
        foreseen |= {each.id: next(outcomes) for each in sent}
        return await self._results(sender, items, asked, foreseen)

    async def preview(
        self, sender: Principal, items: Sequence[Instruction], *, group: str | None
    ) -> list[Result]:
        """Return what `send` would come to now, and change nothing: not even an account is opened.

        Returns:
            One result for each item. Times and places in the journal are not promised.
        """
        asked = await self._requests(sender, items, group)
        refused_early = await self._refused_early(sender, items, asked, group=group)
        if refused_early is not None:
            return refused_early
        requests = [each for each in asked if isinstance(each, TransferRequest)]
        foreseen = await self._foresee(requests, await self._missing(sender, requests))
        return await self._results(sender, items, asked, foreseen)

    async def _refused_early(
        self,
        sender: Principal,
        items: Sequence[Instruction],
        asked: Sequence[TransferRequest | GuilderError],
        *,
        group: str | None,
    ) -> list[Result] | None:
        """Return the results of a group with an item that cannot even be asked for."""
        if group is None or not any(isinstance(each, GuilderError) for each in asked):
            return None
        return _without_group(items, asked, await self._known(sender, items))

    async def _results(
        self,
        sender: Principal,
        items: Sequence[Instruction],
        asked: Sequence[TransferRequest | GuilderError],
        outcomes: Mapping[UUID, Outcome],
    ) -> list[Result]:
        doubtful = [
            item for item, each in zip(items, asked, strict=True) if isinstance(each, GuilderError)
        ]
        known = await self._known(sender, doubtful) if doubtful else {}
        return [
            self._result(item.key, outcomes[each.id])
            if isinstance(each, TransferRequest)
            else _refused_or_known(item, each, known.get(item.key))
            async for item, each in in_turns(zip(items, asked, strict=True))
        ]

    async def _known(self, sender: Principal, items: Sequence[Instruction]) -> dict[str, Transfer]:
        """Return what the journal has under the items' keys."""
        ids = {transfer_id_of(sender, each.key): each.key async for each in in_turns(items)}
        found = await self._journal.book.transfers(list(ids))
        return {ids[transfer_id]: transfer for transfer_id, transfer in found.items()}

    async def _requests(
        self, sender: Principal, items: Sequence[Instruction], group: str | None
    ) -> list[TransferRequest | GuilderError]:
        """Return what to ask for each item, or why it cannot be asked for."""
        group_id = None if group is None else derived_uuid("batch", sender.user_id, group)
        wallets = await find_recipients(self._identity, {item.recipient for item in items})
        limits = await self._limits.current(sender.wallet_id)
        asked: list[TransferRequest | GuilderError] = []
        async for item in in_turns(items):
            # No wallet has an empty id: nobody's is refused like one that there is not.
            to = wallets.get(item.recipient, WalletId(""))
            try:
                currency(item.currency)
                request = transfer_request(sender, item, to=to, limits=limits, group_id=group_id)
            except UnknownCurrency as error:
                asked.append(error)
            except NotFound:
                asked.append(RecipientNotFound())
            else:
                asked.append(request)
        return await self._of_wallets(asked)

    async def _of_wallets(
        self, asked: Sequence[TransferRequest | GuilderError]
    ) -> list[TransferRequest | GuilderError]:
        """Refuse those to a wallet that there is not. An account that is open has one."""
        requests = [each for each in asked if isinstance(each, TransferRequest)]
        opened = await self._journal.book.accounts([r.credit_account_id for r in requests])
        doubtful = {_to(r) for r in requests if r.credit_account_id not in opened}
        existing = await self._wallets.existing(doubtful) if doubtful else set()
        return [
            RecipientNotFound()
            if isinstance(each, TransferRequest) and _to(each) in doubtful - existing
            else each
            for each in asked
        ]

    async def _missing(
        self, sender: Principal, requests: Sequence[TransferRequest]
    ) -> dict[UUID, Account]:
        """Return the accounts that are not open yet, as they would be."""
        ids = {r.credit_account_id for r in requests} | {r.debit_account_id for r in requests}
        opened = await self._journal.book.accounts(list(ids))
        wallets: defaultdict[str, set[WalletId]] = defaultdict(set)
        for request in requests:
            if request.credit_account_id not in opened:
                wallets[request.asset].add(_to(request))
            if request.debit_account_id not in opened:
                wallets[request.asset].add(sender.wallet_id)
        found: dict[UUID, Account] = {}
        for asset, wallet_ids in wallets.items():
            for account in await self._wallets.unopened(wallet_ids, asset):
                found[account.id] = account
        return found

    async def _open(
        self, sender: Principal, requests: Sequence[TransferRequest]
    ) -> dict[UUID, Outcome]:
        """Open the accounts that are missing, of those that can pay or be paid: nobody without
        money makes an account, for himself or for others.

        Returns:
            By id, the refusals that need not be asked for: of a group, of all or of none.
        """
        missing = await self._missing(sender, requests)
        if not missing:
            return {}
        foreseen = await self._foresee(requests, missing)
        if requests[0].group_id is not None and not all(map(_is_sent, foreseen.values())):
            return foreseen
        refused_before: dict[UUID, Outcome] = {}
        wanted: defaultdict[str, set[WalletId]] = defaultdict(set)
        for request in requests:
            if missing.keys().isdisjoint((request.debit_account_id, request.credit_account_id)):
                continue
            if _is_sent(foreseen[request.id]):
                wanted[request.asset] |= {sender.wallet_id, _to(request)}
            else:
                refused_before[request.id] = foreseen[request.id]
        for asset, wallet_ids in wanted.items():
            # Who closes in this very moment is refused by the ledger.
            with suppress(AccountClosed):
                await self._wallets.open_accounts(wallet_ids, asset)
        return refused_before

    async def _foresee(
        self, requests: Sequence[TransferRequest], missing: Mapping[UUID, Account]
    ) -> dict[UUID, Outcome]:
        """Return what the requests would come to, by id."""
        async with self._journal.book.snapshot() as reads:
            outcomes = await preview(
                reads, requests, now=self._clock(), unopened=list(missing.values())
            )
        return {request.id: outcome for request, outcome in zip(requests, outcomes, strict=True)}

    def _result(self, key: str, outcome: Outcome) -> Result:
        if outcome.verdict in (Verdict.CREATED, Verdict.EXISTS):
            is_replayed = outcome.verdict is Verdict.EXISTS
            return Result(key=key, transfer=outcome.transfer, is_replayed=is_replayed)
        return Result(key=key, error=refused(outcome, now=self._clock()))


def _to(request: TransferRequest) -> WalletId:
    """Return the wallet that a request credits."""
    return WalletId(request.metadata["to"])


def _is_sent(outcome: Outcome) -> bool:
    return outcome.verdict in (Verdict.CREATED, Verdict.EXISTS)


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
