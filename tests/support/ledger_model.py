"""The ledger once more, small and slow, to hold the real one against. Shares no code with it.

Written from `ledger/models.py` and the design, on plain dictionaries; a group is decided on a copy.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from guilder.ledger.models import TransferRequest

LARGEST, SMALLEST = 2**63 - 1, -(2**63)
POST, HOLD, CAPTURE, PARTIAL, RELEASE = 1, 2, 3, 4, 5


@dataclass
class Model:
    """What the book should hold.

    Attributes:
        accounts: By id: asset, covered, frozen, posted, pending_in, pending_out, sequence.
        holds: By id: debit, credit, left, expired.
        done: By the id of a transfer that is in the journal, its fingerprint.
    """

    accounts: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    holds: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    done: dict[UUID, bytes] = field(default_factory=dict)

    def open(self, account_id: UUID, *, asset: str, covered: bool) -> None:
        self.accounts[account_id] = {
            "asset": asset,
            "covered": covered,
            "frozen": False,
            "posted": 0,
            "pending_in": 0,
            "pending_out": 0,
            "sequence": 0,
        }

    def submit(self, requests: Sequence[TransferRequest]) -> list[str]:
        """Decide a submission: its requests one by one, or all of them as one group."""
        if requests[0].group_id is None:
            return [self.decide(each) for each in requests]
        trial = copy.deepcopy(self)
        answers = [trial.decide(each) for each in requests]
        if set(answers) in ({"created"}, {"exists"}):
            self.accounts, self.holds, self.done = trial.accounts, trial.holds, trial.done
            return answers
        return [
            "group_failed"
            if answer == "created" or (answer == "exists" and each.id not in self.done)
            else answer
            for answer, each in zip(answers, requests, strict=True)
        ]

    def decide(self, wanted: TransferRequest) -> str:
        if wanted.id in self.done:
            same = self.done[wanted.id] == wanted.fingerprint
            return "exists" if same else "exists_different"
        answer = self._refusal(wanted)
        if answer is None:
            answer = {POST: self._post, HOLD: self._hold}.get(wanted.kind, self._settle)(wanted)
        if answer == "created":
            self.done[wanted.id] = wanted.fingerprint
            for side in self._sides(wanted):
                side["sequence"] += 1
        return answer

    def _sides(self, wanted: TransferRequest) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.accounts[wanted.debit_account_id], self.accounts[wanted.credit_account_id]

    def _refusal(self, wanted: TransferRequest) -> str | None:
        if {wanted.debit_account_id, wanted.credit_account_id} - self.accounts.keys():
            return "account_not_found"
        debit, credit = self._sides(wanted)
        if debit["frozen"] and wanted.kind in (POST, HOLD):
            return "account_frozen"
        if {debit["asset"], credit["asset"]} != {wanted.asset}:
            return "asset_mismatch"
        if wanted.debit_account_id == wanted.credit_account_id:
            return "same_account"
        least, most = (0, 0) if wanted.kind == RELEASE else (1, LARGEST)
        return None if least <= wanted.amount_minor <= most else "amount_invalid"

    def _covers(self, account: dict[str, Any], amount: int) -> bool:
        free: int = account["posted"] - account["pending_out"]
        return not account["covered"] or amount <= free

    def _post(self, wanted: TransferRequest) -> str:
        debit, credit = self._sides(wanted)
        if not self._covers(debit, wanted.amount_minor):
            return "insufficient_funds"
        return self._move(debit, credit, wanted.amount_minor)

    def _move(self, debit: dict[str, Any], credit: dict[str, Any], amount: int) -> str:
        left, right = debit["posted"] - amount, credit["posted"] + amount
        if left < SMALLEST or right > LARGEST:
            return "overflow"
        debit["posted"], credit["posted"] = left, right
        return "created"

    def _hold(self, wanted: TransferRequest) -> str:
        debit, credit = self._sides(wanted)
        amount = wanted.amount_minor
        if not self._covers(debit, amount):
            return "insufficient_funds"
        if max(debit["pending_out"], credit["pending_in"]) + amount > LARGEST:
            return "overflow"
        debit["pending_out"] += amount
        credit["pending_in"] += amount
        self.holds[wanted.id] = {
            "debit": wanted.debit_account_id,
            "credit": wanted.credit_account_id,
            "left": amount,
            "expired": wanted.expires_at is not None and wanted.expires_at.year < 2026,
        }
        return "created"

    def _settle(self, wanted: TransferRequest) -> str:
        hold = self.holds.get(wanted.hold_id) if wanted.hold_id else None
        debit, credit = self._sides(wanted)
        if hold is None or self.accounts[hold["debit"]] is not debit:
            return "hold_not_found"
        if self.accounts[hold["credit"]] is not credit:
            return "hold_not_found"
        if not hold["left"]:
            return "hold_settled"
        if wanted.kind != RELEASE:
            if hold["expired"]:
                return "hold_expired"
            if wanted.amount_minor > hold["left"]:
                return "capture_exceeds_hold"
            if self._move(debit, credit, wanted.amount_minor) == "overflow":
                return "overflow"
        given_back = wanted.amount_minor if wanted.kind == PARTIAL else hold["left"]
        hold["left"] -= given_back
        debit["pending_out"] -= given_back
        credit["pending_in"] -= given_back
        return "created"
