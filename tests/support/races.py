"""Races for everything the books give out only once: who may win, and what must be left.

A race is the same in every process: each makes the attempts of its share from the numbers alone.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from guilder.ledger.journal import Journal
from guilder.ledger.limits import Limit, Measure, Window
from guilder.ledger.models import Outcome, TransferRequest, Verdict
from guilder.storage.records import TransferKind
from tests.support.books import account, account_id, fingerprint, request, transfer_id
from tests.support.postgres_books import created

ROUNDS = int(os.environ.get("GUILDER_TEST_RACE_ROUNDS", "4"))
"""Of every race. `make faults` runs 200; each test run a few."""
ROUNDS_AT_ONCE = max(1, min(10, ROUNDS // 2))
"""Each has accounts of its own, and company."""
ROUNDS_OVER_HTTP = max(1, ROUNDS // 10)
"""Of every race over HTTP, which takes many times as long."""
CROWD = 64
"""Attempts at once."""

HOLD, CAPTURE, PARTIAL, RELEASE = list(TransferKind)[1:]
CREATED, EXISTS, POOR = Verdict.CREATED, Verdict.EXISTS, Verdict.INSUFFICIENT_FUNDS

Answer = tuple[str, str]
"""The verdict on an attempt, and the hash of the transfer in the journal or nothing."""


@dataclass(frozen=True)
class Place:
    """Names and ids of one round of one race: nothing is shared with another."""

    race: str
    number: int

    def name(self, who: str) -> str:
        return f"{who} {self.race} {self.number}"

    def id(self, what: object) -> UUID:
        return transfer_id(f"{self.race} {self.number} {what}")

    def move(
        self, amount: int, what: object, pair: tuple[str, str] = ("payer", "payee"), **more: object
    ) -> TransferRequest:
        """Return a transfer from payer to payee under the id that `what` stands for."""
        debit, credit = map(self.name, pair)
        return request(debit, credit, amount, **{"id": self.id(what), **more})

    def limit(self, maximum: int, **more: object) -> Limit:
        base: dict[str, object] = {"name": "budget", "window": Window.EVER}
        return Limit(subject=self.name("key"), maximum=maximum, **{**base, **more})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Result:
    """What a race may come to: how often each verdict, and the balances afterwards.

    Args:
        left: By role, `posted` and `pending_out`.
    """

    verdicts: Mapping[Verdict, int]
    left: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Race:
    """What `CROWD` attempts compete for.

    Args:
        attempt: Returns what attempt number 0 to `CROWD` - 1 asks for, in one submission.
        results: Any of these is right, and nothing else.
        funds: By role.
        before: Returns what is in the journal before the race.
    """

    name: str
    attempt: Callable[[Place, int], Sequence[TransferRequest]]
    results: Sequence[Result]
    funds: Mapping[str, int] = field(default_factory=lambda: {"payer": 100, "payee": 0})
    before: Callable[[Place], Sequence[TransferRequest]] = lambda _: ()

    async def prepare(self, journal: Journal, number: int) -> None:
        """Open this round's accounts with their funds."""
        place = Place(self.name, number)
        roles = {place.name(role): amount for role, amount in self.funds.items()}
        await journal.open_accounts([account("mint"), *map(account, roles)])
        funding = [
            request("mint", name, amount, id=place.id(f"funding {name}"))
            for name, amount in roles.items()
            if amount
        ]
        created(await journal.post_all([*funding, *self.before(place)]))

    async def judge(self, journal: Journal, number: int, answers: Sequence[Answer]) -> None:
        """Check that nobody won too much, that nobody lost too much, and what is left."""
        verdicts = Counter(verdict for verdict, _ in answers)
        place = Place(self.name, number)
        ids = {account_id(place.name(role)): role for role in self.funds}
        accounts = await journal.book.accounts(list(ids))
        left = {ids[each.id]: (each.posted, each.pending_out) for each in accounts.values()}
        found = Result({Verdict(each): count for each, count in verdicts.items()}, left)
        assert found in self.results, f"{self.name}, round {number}"
        told = {transfer_hash for _, transfer_hash in answers if transfer_hash}
        assert len(told) == verdicts[CREATED], (
            "each transfer was created for one, and told as it is"
        )


def answer_of(outcomes: Sequence[Outcome]) -> Answer:
    """Return the answer to an attempt; of a group, what decided it."""
    deciding = [each for each in outcomes if each.verdict is not Verdict.GROUP_FAILED]
    outcome = deciding[0] if deciding else outcomes[0]
    return str(outcome.verdict), outcome.transfer.hash.hex() if outcome.transfer else ""


def _spend(amount: int) -> Callable[[Place, int], Sequence[TransferRequest]]:
    return lambda place, n: [place.move(amount, n)]


def _with_fee(place: Place, n: int) -> Sequence[TransferRequest]:
    group = place.id(f"group {n}")
    return [
        place.move(2, n, group_id=group),
        place.move(1, f"fee {n}", ("payer", "fees"), group_id=group),
    ]


def _on_hold(kind: TransferKind, amount: int, n: object, place: Place) -> TransferRequest:
    return place.move(amount, n, kind=kind, hold_id=place.id("hold"))


def _capture_or_release(place: Place, n: int) -> Sequence[TransferRequest]:
    if n % 2:
        return [_on_hold(CAPTURE, 100, n, place)]
    return [_on_hold(RELEASE, 0, n, place)]


def _held(place: Place) -> Sequence[TransferRequest]:
    return [place.move(100, "hold", kind=HOLD)]


def _give_back(place: Place, n: int) -> Sequence[TransferRequest]:
    return [place.move(3, n, ("payee", "payer"), reverses_id=place.id("sale"))]


def _sold(place: Place) -> Sequence[TransferRequest]:
    return [place.move(50, "sale")]


def _limited(amount: int, maximum: int, **more: object) -> Callable[..., list[TransferRequest]]:
    return lambda place, n: [place.move(amount, n, limits=(place.limit(maximum, **more),))]


def _two_budgets(place: Place, n: int) -> Sequence[TransferRequest]:
    limits = (
        place.limit(90, name="month", window=Window.MONTH),
        place.limit(20, name="often", measure=Measure.COUNT),
        place.limit(3, name="each", window=Window.TRANSFER),
    )
    return [place.move(3, n, limits=limits)]


def _half_refused(place: Place, n: int) -> Sequence[TransferRequest]:
    """Every other one comes from somebody without money, and must not use the budget up."""
    pair = ("pauper", "payee") if n % 2 else ("payer", "payee")
    return [place.move(1, n, pair, limits=(place.limit(30),))]


def _same(kind: TransferKind) -> Callable[[Place, int], Sequence[TransferRequest]]:
    return lambda place, _: [place.move(10, "it", kind=kind)]


def _same_capture(place: Place, _: int) -> Sequence[TransferRequest]:
    return [_on_hold(PARTIAL, 10, "it", place)]


def _other_body(place: Place, n: int) -> Sequence[TransferRequest]:
    return [place.move(10 + n % 2, "it", fingerprint=fingerprint(n % 2))]


def _left(payer: int, payee: int, held: int = 0, **others: int) -> dict[str, tuple[int, int]]:
    return {"payer": (payer, held), "payee": (payee, 0)} | {k: (v, 0) for k, v in others.items()}


def _won(count: int, refusal: Verdict, left: Mapping[str, tuple[int, int]]) -> tuple[Result]:
    return (Result({CREATED: count, refusal: CROWD - count}, left),)


_PLENTY = {"payer": 1_000, "payee": 0}
_LIMIT = Verdict.LIMIT_EXCEEDED
_SETTLED = Verdict.HOLD_SETTLED
_OVER = Verdict.REVERSAL_EXCEEDS_ORIGINAL
_ONCE = {CREATED: 1, EXISTS: CROWD - 1}
_DIFFERENT = {CREATED: 1, EXISTS: CROWD // 2 - 1, Verdict.EXISTS_DIFFERENT: CROWD // 2}

RACES = (
    Race("balance", _spend(3), _won(33, POOR, _left(1, 99))),
    Race("balance to its last unit", _spend(2), _won(50, POOR, _left(0, 100))),
    Race(
        "group with a fee",
        _with_fee,
        _won(33, POOR, _left(1, 66, fees=33)),
        funds={"payer": 100, "payee": 0, "fees": 0},
    ),
    Race(
        "holds",
        lambda place, n: [place.move(3, n, kind=HOLD)],
        _won(33, POOR, _left(100, 0, 99)),
    ),
    Race(
        "partial captures",
        lambda place, n: [_on_hold(PARTIAL, 3, n, place)],
        _won(33, Verdict.CAPTURE_EXCEEDS_HOLD, _left(1, 99, 1)),
        before=_held,
    ),
    Race(
        "whole captures",
        lambda place, n: [_on_hold(CAPTURE, 60, n, place)],
        _won(1, _SETTLED, _left(40, 60)),
        before=_held,
    ),
    Race(
        "capture against release",
        _capture_or_release,
        (*_won(1, _SETTLED, _left(0, 100)), *_won(1, _SETTLED, _left(100, 0))),
        before=_held,
    ),
    Race(
        "reversals",
        _give_back,
        _won(16, _OVER, _left(98, 1_002)),
        funds={"payer": 100, "payee": 1_000},
        before=_sold,
    ),
    Race(
        "daily limit",
        _limited(1, 30, name="daily", window=Window.DAY),
        _won(30, _LIMIT, _left(970, 30)),
        funds=_PLENTY,
    ),
    Race("budget of a key", _limited(7, 100), _won(14, _LIMIT, _left(902, 98)), funds=_PLENTY),
    Race("several budgets", _two_budgets, _won(20, _LIMIT, _left(940, 60)), funds=_PLENTY),
    Race(
        "budget and paupers",
        _half_refused,
        (Result({CREATED: 30, _LIMIT: 2, POOR: 32}, _left(970, 30, pauper=0)),),
        funds={**_PLENTY, "pauper": 0},
    ),
    Race("one key", _same(TransferKind.POST), (Result(_ONCE, _left(90, 10)),)),
    Race("one key of a hold", _same(HOLD), (Result(_ONCE, _left(100, 0, 10)),)),
    Race(
        "one key of a capture",
        _same_capture,
        (Result(_ONCE, _left(90, 10, 90)),),
        before=_held,
    ),
    Race(
        "one key for two bodies",
        _other_body,
        (Result(_DIFFERENT, _left(90, 10)), Result(_DIFFERENT, _left(89, 11))),
    ),
)
BY_NAME = {race.name: race for race in RACES}
