"""Decisions for tests: state that goes from one to the next, and what must hold after each."""

from collections.abc import Sequence
from typing import Any

from guilder.ledger.chain import chain_hash
from guilder.ledger.decide import Decision, decide
from guilder.ledger.models import TransferRequest, Verdict
from guilder.storage.records import GENESIS, Account, Head, Hold, Transfer, TransferKind
from tests.support.books import NOON, account, account_id, request, transfer_id

CREATED, EXISTS = Verdict.CREATED, Verdict.EXISTS


class Books:
    """State that is carried from one decision to the next, and checked after each."""

    def __init__(self, *accounts: Account) -> None:
        self.accounts = {each.id: each for each in accounts}
        self.holds: dict[Any, Hold] = {}
        self.journal: dict[Any, Transfer] = {}
        self.head = GENESIS
        self.now = NOON

    def decide(self, requests: Sequence[TransferRequest]) -> list[Verdict]:
        return verdicts(self.decision(requests))

    def decision(self, requests: Sequence[TransferRequest]) -> Decision:
        before = dict(self.accounts), dict(self.holds), dict(self.journal)
        decision = decide(
            requests,
            accounts=self.accounts,
            holds=self.holds,
            existing=self.journal,
            head=self.head,
            now=self.now,
        )
        assert (self.accounts, self.holds, self.journal) == before, "the input is left alone"
        self.check(decision)
        self.accounts |= decision.accounts
        self.holds |= decision.holds
        self.journal |= {each.id: each for each in decision.transfers}
        self.head = decision.head
        return decision

    def check(self, decision: Decision) -> None:
        created = [o.transfer for o in decision.outcomes if o.verdict is CREATED]
        assert created == decision.transfers
        first = self.head.position + 1
        assert [t.position for t in created if t] == list(range(first, first + len(created)))
        known = self.journal | {each.id: each for each in decision.transfers}
        for outcome in decision.outcomes:
            if outcome.verdict in (CREATED, EXISTS):
                assert outcome.transfer is not None
                assert known[outcome.transfer.id] is outcome.transfer, "what is told is there"
        previous = self.head.hash
        for transfer in decision.transfers:
            previous = chain_hash(previous, transfer)
            assert transfer.hash == previous
        grown = 1 if decision.transfers else 0
        assert decision.head == Head(
            self.head.position + len(created), previous, self.head.revision + grown
        )
        after = {**self.accounts, **decision.accounts}.values()
        assert sum(each.posted for each in after) == sum(x.posted for x in self.accounts.values())
        assert sum(each.pending_in for each in after) == sum(each.pending_out for each in after)

    def of(self, name: str) -> tuple[int, int, int, int]:
        """Return posted, pending in, pending out and sequence."""
        found = self.accounts[account_id(name)]
        return found.posted, found.pending_in, found.pending_out, found.sequence

    def left(self, name: str) -> int:
        return self.holds[transfer_id(name)].remaining_minor


def new_books() -> Books:
    """Return books in which `payer` has 100."""
    return Books(account("mint"), account("payer", posted=100), account("payee"), account("third"))


def verdicts(decision: Decision) -> list[Verdict]:
    return [outcome.verdict for outcome in decision.outcomes]


def move(amount: int, name: str = "", **fields: Any) -> TransferRequest:
    """Ask for a transfer from payer to payee."""
    if name:
        fields["id"] = transfer_id(name)
    return request("payer", "payee", amount, **fields)


def on_hold(kind: TransferKind, amount: int, hold: str = "h", **fields: Any) -> TransferRequest:
    return move(amount, kind=kind, hold_id=transfer_id(hold), **fields)
