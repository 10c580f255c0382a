"""Nobody learns from the time of an answer whether an account exists.

The hash is cheap here, so that what else takes time is not hidden behind it; steps are the same.
"""

import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from guilder.identity.errors import InvalidCredentials
from guilder.identity.passwords import Passwords
from guilder.identity.service import IdentityService
from guilder.identity.throttle_rules import ThrottlePolicy
from guilder.storage.base import Storage
from tests.support.identity import PATIENT, HandClock, application, identity_service

pytestmark = pytest.mark.alone

SIGN_INS = 500
SAMPLES = 120
TRIMMED = 0.1
"""Share of the slowest samples left out: they belong to the machine."""
LIMIT_T = 4.5
LIMIT_S = 0.005


@pytest.fixture
async def identity(storage: Storage) -> AsyncIterator[IdentityService]:
    # Whoever has to wait is refused at once, which is quick on purpose and no secret.
    async with identity_service(storage, HandClock(), bcrypt_cost=6, throttles=PATIENT) as service:
        await service.register(application(email="payer@example.com", phone="+12025550123"))
        yield service


async def sampled(
    one: Callable[[], Awaitable[object]],
    other: Callable[[], Awaitable[object]],
    *,
    samples: int = SAMPLES,
) -> tuple[list[float], list[float]]:
    """Time two requests in turn, each pair in an order drawn by lot."""
    times: tuple[list[float], list[float]] = ([], [])
    draw = random.Random(7)
    for _ in range(samples + 10):
        for which in draw.sample((0, 1), 2):
            start = time.perf_counter()
            await (one, other)[which]()
            times[which].append(time.perf_counter() - start)
    keep = int(samples * (1 - TRIMMED))
    return sorted(times[0][10:])[:keep], sorted(times[1][10:])[:keep]


def welch_t(one: list[float], other: list[float]) -> float:
    """Return Welch's t of two samples."""
    spread = sum(statistics.variance(each) / len(each) for each in (one, other))
    return (statistics.fmean(one) - statistics.fmean(other)) / float(spread**0.5)


def difference_s(one: list[float], other: list[float]) -> float:
    """Return how far the medians are apart, in seconds."""
    return abs(statistics.median(one) - statistics.median(other))


def attempts(identity: IdentityService, *, by: str) -> tuple[Callable[[], Awaitable[None]], ...]:
    """Return a sign-in with a wrong password and one of an unknown user."""
    known = {"email": "payer@example.com", "phone": "+12025550123"}[by]
    unknown = {"email": "nobody@example.com", "phone": "+12025550199"}[by]

    async def sign_in(value: str) -> None:
        who: dict[str, Any] = {by: value}
        with pytest.raises(InvalidCredentials):
            await identity.login(**who, password="none of anybody's")

    return (lambda: sign_in(known), lambda: sign_in(unknown))


@pytest.mark.parametrize(("by", "samples"), [("email", SIGN_INS), ("phone", SAMPLES)])
async def test_unknown_users_are_refused_as_slowly_as_wrong_passwords(
    identity: IdentityService, by: str, samples: int
) -> None:
    known, unknown = await sampled(*attempts(identity, by=by), samples=samples)
    assert abs(welch_t(known, unknown)) < LIMIT_T
    assert difference_s(known, unknown) < LIMIT_S


async def test_the_measurement_would_notice(
    identity: IdentityService, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = Passwords.verify

    async def hasty(self: Passwords, password: str, password_hash: str | None) -> bool:
        return password_hash is not None and await verify(self, password, password_hash)

    monkeypatch.setattr(Passwords, "verify", hasty)
    known, unknown = await sampled(*attempts(identity, by="email"))
    assert abs(welch_t(known, unknown)) > LIMIT_T


async def test_taken_addresses_are_answered_as_slowly_as_free_ones(
    identity: IdentityService,
) -> None:
    def applying(email: str | None) -> Callable[[], Awaitable[object]]:
        changes = {"email": email} if email else {}
        return lambda: identity.register(application(**changes, password="seven unlikely words"))

    taken, free = await sampled(applying("payer@example.com"), applying(None))
    # Both commit once. Storing the user takes a statement or two more: that difference is not zero,
    # so only its size is held here.
    assert difference_s(taken, free) < LIMIT_S


@pytest.mark.parametrize("way", ["code", "recovery"])
async def test_nobody_is_written_to_as_slowly_as_somebody(storage: Storage, way: str) -> None:
    clock = HandClock()
    policy = ThrottlePolicy(consecutive_max=1_000_000)
    async with identity_service(storage, clock, throttles=policy) as identity:
        await identity.register(application(email="payer@example.com"))
        request = identity.code_sign_in.request if way == "code" else identity.recovery.request

        async def asking(email: str) -> None:
            clock.move(hours=1)  # Else whoever asks often waits.
            await request(identity.contact(email=email, phone=None), client=None)

        known, unknown = await sampled(
            lambda: asking("payer@example.com"), lambda: asking("nobody@example.com")
        )
    assert abs(welch_t(known, unknown)) < LIMIT_T
    assert difference_s(known, unknown) < LIMIT_S
