"""The decision: given the state of the accounts, which requests become transfers, and what changes.

A pure function. It has no database, clock or randomness; time and state come in as data, and what
it returns is the whole effect. Requests are decided in order, each on what those before it left.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from guilder.kernel.errors import check
from guilder.ledger.chain import chain_hash
from guilder.ledger.models import AMOUNT_MAX, Outcome, TransferRequest, Verdict
from guilder.storage.records import Account, Head, Hold, Leg, Transfer, TransferKind

T = TypeVar("T")

_AMOUNT_MIN = -(2**63)
_CAPTURES = (TransferKind.CAPTURE, TransferKind.PARTIAL_CAPTURE)
_ON_HOLDS = (*_CAPTURES, TransferKind.RELEASE)
_FAILED_WITH_GROUP = {
    Verdict.CREATED: Verdict.GROUP_FAILED,
    Verdict.EXISTS: Verdict.GROUP_FAILED,
}


class Decision(Struct, frozen=True, kw_only=True):
    """What a batch comes to.

    Args:
        outcomes: One for each request, in their order.
        transfers: New lines of the journal, in order of position.
        accounts: Every account that changed, as it is now.
        holds: Every hold that is new or changed.
        head: Where the book ends now. The same head if nothing was created.
    """

    outcomes: list[Outcome]
    transfers: list[Transfer]
    accounts: dict[UUID, Account]
    holds: dict[UUID, Hold]
    head: Head


def decide(
    requests: Sequence[TransferRequest],
    *,
    accounts: Mapping[UUID, Account],
    holds: Mapping[UUID, Hold],
    existing: Mapping[UUID, Transfer],
    head: Head,
    now: datetime,
) -> Decision:
    """Decide requests in order.

    Args:
        requests: Those of one group stand next to each other.
        accounts: Every account that the requests name, if it exists.
        holds: Every hold that they name, if it exists.
        existing: Every transfer of the journal that has the id of a request.
        head: Where the book ends.
        now: Database time; not before that of the last batch.

    Invariants:
        A refused request changes nothing. Per asset the sum of `posted` does not
        change, and `pending_in` and `pending_out` change alike. Positions follow
        the head without a gap.
    """
    state = _State(accounts, holds, existing, head, now)
    outcomes: list[Outcome] = []
    if all(request.group_id is None for request in requests):
        outcomes = [_decide_one(state, request) for request in requests]
    else:
        for group_id, members in groupby(requests, key=lambda request: request.group_id):
            if group_id is None:
                outcomes += [_decide_one(state, request) for request in members]
            else:
                outcomes += _decide_group(state, list(members))
    if state.transfers:
        head = Head(state.position, state.hash, head.revision + 1)
    return Decision(
        outcomes=outcomes,
        transfers=state.transfers,
        accounts=state.changed,
        holds=state.changed_holds,
        head=head,
    )


class _State:
    """What the requests decided so far have left. Private to one call of `decide`."""

    __slots__ = (
        "accounts",
        "changed",
        "changed_holds",
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
        accounts: Mapping[UUID, Account],
        holds: Mapping[UUID, Hold],
        existing: Mapping[UUID, Transfer],
        head: Head,
        now: datetime,
    ) -> None:
        self.accounts = accounts
        self.holds = holds
        self.existing = existing
        self.created: dict[UUID, Transfer] = {}
        self.changed: dict[UUID, Account] = {}
        self.changed_holds: dict[UUID, Hold] = {}
        self.transfers: list[Transfer] = []
        self.position = head.position
        self.hash = head.hash
        self.now = now

    def account(self, account_id: UUID) -> Account | None:
        return self.changed.get(account_id) or self.accounts.get(account_id)

    def hold(self, hold_id: UUID) -> Hold | None:
        return self.changed_holds.get(hold_id) or self.holds.get(hold_id)

    def append(
        self, request: TransferRequest, amount_minor: int, debit: Account, credit: Account
    ) -> Outcome:
        """Write the line into the journal, with the balances that result."""
        self.position += 1
        transfer = Transfer(
            position=self.position,
            id=request.id,
            kind=request.kind,
            debit_account_id=debit.id,
            credit_account_id=credit.id,
            amount_minor=amount_minor,
            asset=request.asset,
            code=request.code,
            group_id=request.group_id,
            hold_id=request.hold_id,
            expires_at=request.expires_at,
            effective_at=request.effective_at or self.now,
            created_at=self.now,
            reference=request.reference,
            metadata=request.metadata,
            fingerprint=request.fingerprint,
            debit=Leg(debit.sequence, debit.posted, debit.pending_in, debit.pending_out),
            credit=Leg(credit.sequence, credit.posted, credit.pending_in, credit.pending_out),
            hash=b"",
        )
        self.hash = chain_hash(self.hash, transfer)
        # Nobody else has seen it yet, and a copy would cost a tenth of the decision.
        msgspec.structs.force_setattr(transfer, "hash", self.hash)
        self.transfers.append(transfer)
        self.created[transfer.id] = transfer
        self.changed[debit.id] = debit
        self.changed[credit.id] = credit
        return Outcome(Verdict.CREATED, transfer)


def _decide_group(state: _State, requests: list[TransferRequest]) -> list[Outcome]:
    """Decide requests of which all become transfers or none does."""
    before = _Undo(state, requests)
    outcomes = [_decide_one(state, request) for request in requests]
    verdicts = {outcome.verdict for outcome in outcomes}
    if verdicts in ({Verdict.CREATED}, {Verdict.EXISTS}):
        return outcomes
    # An id that the group names twice was found in its own transfers: those are gone now.
    undone = before.restore(state)
    return [
        Outcome(_FAILED_WITH_GROUP.get(outcome.verdict, outcome.verdict))
        if outcome.transfer is not None and outcome.transfer.id in undone
        else outcome
        for outcome in outcomes
    ]


class _Undo:
    """The part of a state that a group can change, as it was before."""

    def __init__(self, state: _State, requests: list[TransferRequest]) -> None:
        account_ids = {r.debit_account_id for r in requests}
        account_ids |= {r.credit_account_id for r in requests}
        hold_ids = {r.id for r in requests} | {r.hold_id for r in requests if r.hold_id}
        self.accounts = {key: state.changed.get(key) for key in account_ids}
        self.holds = {key: state.changed_holds.get(key) for key in hold_ids}
        self.transfers = len(state.transfers)
        self.position = state.position
        self.hash = state.hash

    def restore(self, state: _State) -> set[UUID]:
        """Put everything back; return the ids that are no longer in the journal."""
        undone = {transfer.id for transfer in state.transfers[self.transfers :]}
        for transfer_id in undone:
            del state.created[transfer_id]
        del state.transfers[self.transfers :]
        state.position = self.position
        state.hash = self.hash
        _put_back(state.changed, self.accounts)
        _put_back(state.changed_holds, self.holds)
        return undone


def _put_back(mapping: dict[UUID, T], before: Mapping[UUID, T | None]) -> None:
    for key, value in before.items():
        if value is None:
            mapping.pop(key, None)
        else:
            mapping[key] = value


def _decide_one(state: _State, request: TransferRequest) -> Outcome:
    known = state.existing.get(request.id) or state.created.get(request.id)
    if known is not None:
        same = known.fingerprint == request.fingerprint
        return Outcome(Verdict.EXISTS if same else Verdict.EXISTS_DIFFERENT, known)
    debit = state.account(request.debit_account_id)
    credit = state.account(request.credit_account_id)
    if debit is None or credit is None:
        return Outcome(Verdict.ACCOUNT_NOT_FOUND)
    refusal = _refusal_by_accounts(request, debit, credit)
    if refusal is not None:
        return Outcome(refusal)
    if request.kind is TransferKind.POST:
        return _post(state, request, debit, credit)
    if request.kind is TransferKind.HOLD:
        return _hold(state, request, debit, credit)
    return _settle(state, request, debit, credit)


def _refusal_by_accounts(
    request: TransferRequest, debit: Account, credit: Account
) -> Verdict | None:
    """Check what holds for every kind. What a hold reserved may move although the account froze."""
    if debit.is_frozen and request.kind in (TransferKind.POST, TransferKind.HOLD):
        return Verdict.ACCOUNT_FROZEN
    if debit.is_closed or credit.is_closed:
        return Verdict.ACCOUNT_CLOSED
    if debit.asset != request.asset or credit.asset != request.asset:
        return Verdict.ASSET_MISMATCH
    if debit.id == credit.id:
        return Verdict.SAME_ACCOUNT
    if request.kind is TransferKind.RELEASE:
        return None if request.amount_minor == 0 else Verdict.AMOUNT_INVALID
    if not 1 <= request.amount_minor <= AMOUNT_MAX:
        return Verdict.AMOUNT_INVALID
    return None


def _post(state: _State, request: TransferRequest, debit: Account, credit: Account) -> Outcome:
    amount = request.amount_minor
    if debit.no_overdraft and debit.posted - debit.pending_out < amount:
        return Outcome(Verdict.INSUFFICIENT_FUNDS)
    if debit.posted - amount < _AMOUNT_MIN or credit.posted + amount > AMOUNT_MAX:
        return Outcome(Verdict.OVERFLOW)
    return state.append(
        request,
        amount,
        _moved(debit, posted=-amount, pending_in=0, pending_out=0),
        _moved(credit, posted=amount, pending_in=0, pending_out=0),
    )


def _hold(state: _State, request: TransferRequest, debit: Account, credit: Account) -> Outcome:
    amount = request.amount_minor
    if debit.no_overdraft and debit.posted - debit.pending_out < amount:
        return Outcome(Verdict.INSUFFICIENT_FUNDS)
    if debit.pending_out + amount > AMOUNT_MAX or credit.pending_in + amount > AMOUNT_MAX:
        return Outcome(Verdict.OVERFLOW)
    state.changed_holds[request.id] = Hold(
        id=request.id,
        debit_account_id=debit.id,
        credit_account_id=credit.id,
        asset=request.asset,
        amount_minor=amount,
        remaining_minor=amount,
        expires_at=request.expires_at,
    )
    return state.append(
        request,
        amount,
        _moved(debit, posted=0, pending_in=0, pending_out=amount),
        _moved(credit, posted=0, pending_in=amount, pending_out=0),
    )


def _settle(state: _State, request: TransferRequest, debit: Account, credit: Account) -> Outcome:
    """Capture or release: `posted` moves by what is captured, the reservation by what ends."""
    check(request.kind in _ON_HOLDS, "every kind of transfer is decided")
    hold = None if request.hold_id is None else state.hold(request.hold_id)
    if hold is None or (hold.debit_account_id, hold.credit_account_id) != (debit.id, credit.id):
        return Outcome(Verdict.HOLD_NOT_FOUND)
    if hold.remaining_minor == 0:
        return Outcome(Verdict.HOLD_SETTLED)
    captured = request.amount_minor
    if request.kind in _CAPTURES and hold.expires_at is not None and state.now >= hold.expires_at:
        return Outcome(Verdict.HOLD_EXPIRED)
    if captured > hold.remaining_minor:
        return Outcome(Verdict.CAPTURE_EXCEEDS_HOLD)
    if debit.posted - captured < _AMOUNT_MIN or credit.posted + captured > AMOUNT_MAX:
        return Outcome(Verdict.OVERFLOW)
    partial = request.kind is TransferKind.PARTIAL_CAPTURE
    ended = captured if partial else hold.remaining_minor
    state.changed_holds[hold.id] = msgspec.structs.replace(
        hold, remaining_minor=hold.remaining_minor - ended
    )
    return state.append(
        request,
        captured or hold.remaining_minor,
        _moved(debit, posted=-captured, pending_in=0, pending_out=-ended),
        _moved(credit, posted=captured, pending_in=-ended, pending_out=0),
    )


def _moved(account: Account, *, posted: int, pending_in: int, pending_out: int) -> Account:
    """Return the account after one more leg."""
    return Account(
        id=account.id,
        asset=account.asset,
        code=account.code,
        owner=account.owner,
        no_overdraft=account.no_overdraft,
        is_frozen=account.is_frozen,
        is_closed=account.is_closed,
        posted=account.posted + posted,
        pending_in=account.pending_in + pending_in,
        pending_out=account.pending_out + pending_out,
        sequence=account.sequence + 1,
        created_at=account.created_at,
    )
