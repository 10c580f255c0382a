"""Token buckets: who passes, who waits, who is forgotten."""

import pytest

from guilder.kernel.errors import InvariantViolation
from guilder.middlewares.rate_limit import RateLimitMiddleware, TokenBucket
from tests.support.asgi import answer, scope_of

SECOND = 1_000_000_000


class Clock:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 10**15

    def __call__(self) -> int:
        return self.now


def bucket(
    clock: Clock, *, requests: int = 5, seconds: int = 10, keys_max: int = 100
) -> TokenBucket:
    return TokenBucket(
        "test", requests=requests, seconds=seconds, keys_max=keys_max, monotonic_ns=clock
    )


def test_a_full_bucket_lets_its_size_through_and_then_none() -> None:
    limit = bucket(Clock())
    assert [limit.take("a").remaining for _ in range(5)] == [4, 3, 2, 1, 0]
    refused = limit.take("a")
    assert not refused.is_allowed
    assert refused.wait_s == 2


def test_tokens_come_back_one_by_one() -> None:
    clock = Clock()
    limit = bucket(clock)
    for _ in range(5):
        limit.take("a")
    clock.now += 2 * SECOND - 1
    assert not limit.take("a").is_allowed
    clock.now += 1
    assert limit.take("a").is_allowed
    assert not limit.take("a").is_allowed
    clock.now += 100 * SECOND
    assert [limit.take("a").is_allowed for _ in range(6)] == [True] * 5 + [False]


def test_waiting_as_told_is_enough() -> None:
    clock = Clock()
    limit = bucket(clock, requests=3, seconds=7)
    while limit.take("a").is_allowed:
        pass
    clock.now += limit.take("a").wait_s * SECOND
    assert limit.take("a").is_allowed


def test_a_refused_request_costs_nothing() -> None:
    clock = Clock()
    limit = bucket(clock)
    for _ in range(1_000):
        limit.take("a")
    clock.now += 2 * SECOND
    assert limit.take("a").is_allowed


def test_keys_do_not_share() -> None:
    limit = bucket(Clock(), requests=1)
    assert limit.take("a").is_allowed
    assert limit.take("b").is_allowed
    assert not limit.take("a").is_allowed


def test_memory_is_bounded_and_the_longest_unseen_goes_first() -> None:
    limit = bucket(Clock(), requests=1, keys_max=10)
    for number in range(10):
        limit.take(str(number))
    assert not limit.take("0").is_allowed  # Seen again, so `1` is the oldest now.
    limit.take("new")
    assert len(limit) == 10
    assert not limit.take("0").is_allowed
    assert limit.take("1").is_allowed


def test_a_rate_is_positive() -> None:
    with pytest.raises(InvariantViolation):
        TokenBucket("x", requests=0, seconds=1)


def limited(clock: Clock, *, user: str | None = None) -> RateLimitMiddleware:
    async def app(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]

    async def identify(scope: object) -> str | None:
        return user

    return RateLimitMiddleware(
        app,
        address=bucket(clock, requests=4),
        user=bucket(clock, requests=2),
        sign_in=bucket(clock, requests=1),
        identify=identify,
    )


async def test_a_refusal_says_when_to_come_back() -> None:
    layer = limited(Clock())
    for _ in range(4):
        assert (await answer(layer, scope_of("/v1/wallet"))).status == 200
    refused = await answer(layer, scope_of("/v1/wallet"))
    assert refused.status == 429
    assert refused.body["code"] == "rate_limited"
    assert refused.body["retryable"] is True
    assert refused.headers["retry-after"] == "3"
    assert refused.headers["ratelimit-policy"] == '"test";q=4;w=10'
    assert refused.headers["ratelimit"] == '"test";r=0;t=3'


@pytest.mark.parametrize(
    "path",
    ["/login", "/v1/login", "/register", "/v1/register", "/v1/auth/outside/google/start"],
)
async def test_where_passwords_are_tried_the_limit_is_tighter(path: str) -> None:
    layer = limited(Clock())
    assert (await answer(layer, scope_of(path))).status == 200
    assert (await answer(layer, scope_of(path))).status == 429
    assert (await answer(layer, scope_of("/v1/wallet"))).status == 200


async def test_a_user_is_limited_from_every_address() -> None:
    layer = limited(Clock(), user="user_1")
    statuses = [
        (await answer(layer, scope_of("/v1/wallet", client=f"192.0.2.{n}"))).status
        for n in range(3)
    ]
    assert statuses == [200, 200, 429]


async def test_supervisors_are_never_told_to_wait() -> None:
    layer = limited(Clock())
    for _ in range(20):
        assert (await answer(layer, scope_of("/healthz"))).status == 200
