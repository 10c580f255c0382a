"""The decision: given the state of the accounts, which requests become transfers, and what changes.

A pure function. It has no database, clock or randomness; time and state come in as data, and what
it returns is the whole effect. Requests are decided in order, each on what those before it left.
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from types import MappingProxyType
from uuid import UUID

import msgspec
from msgspec import Struct

from guilder.kernel.errors import check
from guilder.ledger.limits import Window, reversal_counter_id
from guilder.ledger.models import AMOUNT_MAX, Outcome, TransferRequest, Verdict
from guilder.ledger.state import State, Undo, cut
from guilder.storage.records import Account, Counted, Counter, Head, Hold, Transfer, TransferKind

_AMOUNT_MIN = -(2**63)
# Looked up once: in the inner loop a member of an enum is a slow thing to ask for.
_POST, _HOLD, _CAPTURE, _PARTIAL_CAPTURE, _RELEASE = TransferKind
_CAPTURES = (_CAPTURE, _PARTIAL_CAPTURE)
_ON_HOLDS = (*_CAPTURES, _RELEASE)
_MOVES = (_POST, *_CAPTURES)
_RESERVES = (_POST, _HOLD)
_FAILED_WITH_GROUP = {
    Verdict.CREATED: Verdict.GROUP_FAILED,
    Verdict.EXISTS: Verdict.GROUP_FAILED,
}


class Decision(Struct, frozen=True, kw_only=True):
    """What a batch comes to.

    Args:
        outcomes: One for each request, in their order.
        transfers: New lines of the journal, in order of position.
        created: The same by their ids.
        accounts: Every account that changed, as it is now.
        holds: Every hold that is new or changed.
        counters: Every counter that counted.
        head: Where the book ends now. The same head if nothing was created.
    """

    outcomes: list[Outcome]
    transfers: list[Transfer]
    created: dict[UUID, Transfer]
    accounts: dict[UUID, Account]
    holds: dict[UUID, Hold]
    counters: dict[UUID, Counter]
    head: Head


def decide(
    requests: Sequence[TransferRequest],
    *,
    accounts: Mapping[UUID, Account],
    holds: Mapping[UUID, Hold],
    existing: Mapping[UUID, Transfer],
    head: Head,
    now: datetime,
    counters: Mapping[UUID, Counter] = MappingProxyType({}),
) -> Decision:
    """Decide requests in order.

    Args:
        requests: Those of one group stand next to each other.
        accounts: Every account that the requests name, if it exists.
        holds: Every hold that they name, if it exists.
        counters: Every counter that they add to, if it has counted before.
        existing: Every transfer of the journal that has the id of a request, or
            that a request reverses.
        head: Where the book ends.
        now: Database time; not before that of the last batch.

    Invariants:
        A refused request changes nothing. Per asset the sum of `posted` does not
        change, and `pending_in` and `pending_out` change alike. Positions follow
        the head without a gap.
    """
    state = State(
        accounts=accounts, holds=holds, counters=counters, existing=existing, head=head, now=now
    )
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
        created=state.created,
        accounts=state.changed,
        holds=state.changed_holds,
        counters=state.changed_counters,
        head=head,
    )


def _decide_group(state: State, requests: list[TransferRequest]) -> list[Outcome]:
    """Decide requests of which all become transfers or none does."""
    before = Undo(state, requests)
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


def _decide_one(state: State, request: TransferRequest) -> Outcome:
    known = state.transfer(request.id)
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
    if request.kind is _POST:
        return _post(state, request, debit, credit)
    if request.kind is _HOLD:
        return _hold(state, request, debit, credit)
    return _settle(state, request, debit, credit)


def _refusal_by_accounts(
    request: TransferRequest, debit: Account, credit: Account
) -> Verdict | None:
    """Check what holds for every kind. What a hold reserved may move although the account froze."""
    if debit.is_frozen and request.kind in _RESERVES:
        return Verdict.ACCOUNT_FROZEN
    if debit.is_closed or credit.is_closed:
        return Verdict.ACCOUNT_CLOSED
    if debit.asset != request.asset or credit.asset != request.asset:
        return Verdict.ASSET_MISMATCH
    if debit.id == credit.id:
        return Verdict.SAME_ACCOUNT
    if request.kind is _RELEASE:
        return None if request.amount_minor == 0 else Verdict.AMOUNT_INVALID
    if not 1 <= request.amount_minor <= AMOUNT_MAX:
        return Verdict.AMOUNT_INVALID
    return None


def _post(state: State, request: TransferRequest, debit: Account, credit: Account) -> Outcome:
    amount = request.amount_minor
    if debit.no_overdraft and debit.posted - debit.pending_out < amount:
        return Outcome(Verdict.INSUFFICIENT_FUNDS)
    counted = _count(state, request, debit, credit) if _is_counted(request) else ()
    if isinstance(counted, Outcome):
        return counted
    if debit.posted - amount < _AMOUNT_MIN or credit.posted + amount > AMOUNT_MAX:
        return Outcome(Verdict.OVERFLOW)
    return state.append(
        request,
        amount,
        _moved(debit, posted=-amount, pending_in=0, pending_out=0),
        _moved(credit, posted=amount, pending_in=0, pending_out=0),
        counted,
    )


def _hold(state: State, request: TransferRequest, debit: Account, credit: Account) -> Outcome:
    amount = request.amount_minor
    if debit.no_overdraft and debit.posted - debit.pending_out < amount:
        return Outcome(Verdict.INSUFFICIENT_FUNDS)
    counted = _count(state, request, debit, credit) if _is_counted(request) else ()
    if isinstance(counted, Outcome):
        return counted
    if debit.pending_out + amount > AMOUNT_MAX or credit.pending_in + amount > AMOUNT_MAX:
        return Outcome(Verdict.OVERFLOW)
    state.changed_holds[request.id] = Hold(
        id=request.id,
        debit_account_id=debit.id,
        credit_account_id=credit.id,
        asset=request.asset,
        amount_minor=amount,
        remaining_minor=amount,
        expires_at=cut(request.expires_at),
    )
    return state.append(
        request,
        amount,
        _moved(debit, posted=0, pending_in=0, pending_out=amount),
        _moved(credit, posted=0, pending_in=amount, pending_out=0),
        counted,
    )


def _is_counted(request: TransferRequest) -> bool:
    return bool(request.limits) or request.reverses_id is not None


def _count(
    state: State, request: TransferRequest, debit: Account, credit: Account
) -> tuple[Counted, ...] | Outcome:
    """Return what the request adds to counters, or the refusal if one would pass its maximum."""
    counted: dict[UUID, int] = {}
    for limit in request.limits:
        each = limit.counted(request.amount_minor, asset=request.asset, now=state.now)
        before = state.used(each.counter_id) if limit.window is not Window.TRANSFER else 0
        if before + each.added > limit.maximum:
            return Outcome(Verdict.LIMIT_EXCEEDED, limit=limit)
        if limit.window is not Window.TRANSFER:
            counted[each.counter_id] = each.added
    if request.reverses_id is not None:
        refusal = _refusal_of_reversal(state, request, debit, credit)
        if refusal is not None:
            return Outcome(refusal)
        counted[reversal_counter_id(request.reverses_id)] = request.amount_minor
    return tuple(itertools.starmap(Counted, counted.items()))


def _refusal_of_reversal(
    state: State, request: TransferRequest, debit: Account, credit: Account
) -> Verdict | None:
    """Check a reversal: it goes the other way, is of what moved, and is not itself reversed."""
    check(request.reverses_id is not None, "only a reversal names its original")
    original = state.transfer(request.reverses_id) if request.reverses_id else None
    if (
        original is None
        or original.kind not in _MOVES
        or original.reverses_id is not None
        or (original.debit_account_id, original.credit_account_id) != (credit.id, debit.id)
    ):
        return Verdict.ORIGINAL_NOT_FOUND
    reversed_minor = state.used(reversal_counter_id(original.id))
    if reversed_minor + request.amount_minor > original.amount_minor:
        return Verdict.REVERSAL_EXCEEDS_ORIGINAL
    return None


def _settle(state: State, request: TransferRequest, debit: Account, credit: Account) -> Outcome:
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
    partial = request.kind is _PARTIAL_CAPTURE
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
