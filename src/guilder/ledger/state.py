"""The state of the books while a batch is decided: what the requests so far have left."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from guilder.ledger.chain import chain_hash
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.storage.records import Account, Counted, Counter, Head, Hold, Leg, Transfer

T = TypeVar("T")

_CREATED = Verdict.CREATED
"""Looked up once: a member of an enum costs as much as everything else that an outcome needs."""


def cut(time: datetime | None) -> datetime | None:
    """Cut a time of a request to whole milliseconds: what both storage engines give back.

    `kernel.clock` has the same, beside the clock that a decision does not know of.
    """
    if time is None:
        return None
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


class State:
    """What the requests decided so far have left. Lives for one call of `decide`."""

    __slots__ = (
        "accounts",
        "changed",
        "changed_counters",
        "changed_holds",
        "counters",
        "created",
        "existing",
        "hash",
        "holds",
        "now",
        "position",
        "transfers",
    )

    def __init__(
        self,
        *,
        accounts: Mapping[UUID, Account],
        holds: Mapping[UUID, Hold],
        counters: Mapping[UUID, Counter],
        existing: Mapping[UUID, Transfer],
        head: Head,
        now: datetime,
    ) -> None:
        self.accounts = accounts
        self.holds = holds
        self.counters = counters
        self.existing = existing
        self.created: dict[UUID, Transfer] = {}
        self.changed: dict[UUID, Account] = {}
        self.changed_holds: dict[UUID, Hold] = {}
        self.changed_counters: dict[UUID, Counter] = {}
        self.transfers: list[Transfer] = []
        self.position = head.position
        self.hash = head.hash
        self.now = now

    def transfer(self, transfer_id: UUID) -> Transfer | None:
        """Return a transfer of the journal, as far as the batch was told of it."""
        return self.existing.get(transfer_id) or self.created.get(transfer_id)

    def account(self, account_id: UUID) -> Account | None:
        """Return an account as it is now."""
        return self.changed.get(account_id) or self.accounts.get(account_id)

    def hold(self, hold_id: UUID) -> Hold | None:
        """Return a hold as it is now."""
        return self.changed_holds.get(hold_id) or self.holds.get(hold_id)

    def used(self, counter_id: UUID) -> int:
        """Return how far a counter has counted by now."""
        counter = self.changed_counters.get(counter_id) or self.counters.get(counter_id)
        return 0 if counter is None else counter.used

    def append(
        self,
        request: TransferRequest,
        amount_minor: int,
        debit: Account,
        credit: Account,
        counted: tuple[Counted, ...] = (),
    ) -> Outcome:
        """Write the line into the journal, with the balances that result."""
        self.position += 1
        # By place, in the order of the record: by name it takes three times as long, a fifth of
        # the whole decision (measured).
        transfer = Transfer(
            self.position,
            request.id,
            request.kind,
            debit.id,
            credit.id,
            amount_minor,
            request.asset,
            request.code,
            request.group_id,
            request.hold_id,
            cut(request.expires_at),
            cut(request.effective_at) or self.now,
            self.now,
            request.reference,
            request.metadata,
            request.fingerprint,
            Leg(debit.sequence, debit.posted, debit.pending_in, debit.pending_out),
            Leg(credit.sequence, credit.posted, credit.pending_in, credit.pending_out),
            b"",
            request.reverses_id,
            counted,
        )
        self.hash = chain_hash(self.hash, transfer)
        # Nobody else has seen it yet, and a copy would cost a tenth of the decision.
        msgspec.structs.force_setattr(transfer, "hash", self.hash)
        self.transfers.append(transfer)
        self.created[transfer.id] = transfer
        self.changed[debit.id] = debit
        self.changed[credit.id] = credit
        for each in counted:
            self.changed_counters[each.counter_id] = Counter(
                each.counter_id, self.used(each.counter_id) + each.added
            )
        return Outcome(_CREATED, transfer)


class Undo:
    """The part of a state that a group can change, as it was before."""

    def __init__(self, state: State, requests: list[TransferRequest]) -> None:
        account_ids = {r.debit_account_id for r in requests}
        account_ids |= {r.credit_account_id for r in requests}
        hold_ids = {r.id for r in requests} | {r.hold_id for r in requests if r.hold_id}
        self.accounts = {key: state.changed.get(key) for key in account_ids}
        self.holds = {key: state.changed_holds.get(key) for key in hold_ids}
        self.counters = state.changed_counters.copy()
        self.transfers = len(state.transfers)
        self.position = state.position
        self.hash = state.hash

    def restore(self, state: State) -> set[UUID]:
        """Put everything back; return the ids that are no longer in the journal."""
        undone = {transfer.id for transfer in state.transfers[self.transfers :]}
        for transfer_id in undone:
            del state.created[transfer_id]
        del state.transfers[self.transfers :]
        state.position = self.position
        state.hash = self.hash
        _put_back(state.changed, self.accounts)
        _put_back(state.changed_holds, self.holds)
        state.changed_counters = self.counters
        return undone


def _put_back(mapping: dict[UUID, T], before: Mapping[UUID, T | None]) -> None:
    for key, value in before.items():
        if value is None:
            mapping.pop(key, None)
        else:
            mapping[key] = value
