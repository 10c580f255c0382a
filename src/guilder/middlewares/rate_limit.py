"""Refuses clients that ask too often: a token bucket per address and per signed-in user, in memory.

Each process counts for itself: with several, the published rate is per process.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guilder.kernel.errors import check
from guilder.middlewares.client_address import Network, client_address
from guilder.middlewares.errors import RateLimited
from guilder.middlewares.problems import render

KEYS_MAX: Final = 65_536
"""Clients remembered by one limit: about 10 MB. The longest unseen is forgotten first."""
_NS: Final = 1_000_000_000
SIGN_IN_PATHS: Final = frozenset(
    {
        "/login",
        "/register",
        "/v1/login",
        "/v1/register",
        "/v1/auth/codes",
        "/v1/auth/codes/redeem",
        "/v1/auth/passkeys/options",
        "/v1/auth/passkeys/verify",
        "/v1/auth/recovery",
        "/v1/auth/recovery/complete",
    }
)
OUTSIDE_PATH: Final = "/v1/auth/outside/"
"""The same for whatever is below it."""
UNLIMITED_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Asked by the machine's own supervisor, which must not be told to come back later."""


class Decision(NamedTuple):
    """What a bucket says about one request.

    Args:
        is_allowed: The request may pass.
        remaining: Requests that would pass right now.
        wait_s: Whole seconds until one would pass; 0 if one would now.
    """

    is_allowed: bool
    remaining: int
    wait_s: int


class TokenBucket:
    """So many requests per so many seconds for each key, kept as one number per key.

    The number is the time at which the key's bucket is full again (GCRA); an absent key is full.

    Invariants:
        In any span of `seconds` at most `2 * requests` pass, and on average `requests`.
        At most `keys_max` keys are remembered. A refused request costs nothing.
    """

    def __init__(
        self,
        name: str,
        *,
        requests: int,
        seconds: int,
        keys_max: int = KEYS_MAX,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Make a limit of which everybody's bucket is full."""
        check(requests > 0 and seconds > 0 and keys_max > 0, "a rate is positive")
        self.name = name
        self.policy = f'"{name}";q={requests};w={seconds}'.encode()
        self._left = f'"{name}";r=%d;t=%d'.encode()
        self._requests = requests
        self._step_ns = seconds * _NS // requests
        self._span_ns = self._step_ns * requests
        self._keys_max = keys_max
        self._monotonic_ns = monotonic_ns
        self._full_at: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._full_at)

    def left(self, decision: Decision) -> bytes:
        """Return the value of `RateLimit` after a decision."""
        return self._left % (decision.remaining, decision.wait_s)

    def take(self, key: str) -> Decision:
        """Take a token from the bucket of `key`, if it has one."""
        now = self._monotonic_ns()
        full_at = max(self._full_at.get(key, 0), now) + self._step_ns
        free_ns = self._span_ns - (full_at - now)
        if free_ns < 0:
            self._full_at.move_to_end(key)
            return Decision(is_allowed=False, remaining=0, wait_s=-(free_ns // _NS))
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._keys_max:
            self._full_at.popitem(last=False)
        return Decision(is_allowed=True, remaining=free_ns // self._step_ns, wait_s=0)


async def _nobody(_: Scope) -> None:
    return None


class RateLimitMiddleware:
    """Asks the buckets in turn: sign-in (where that is asked for), address, user.

    The answer carries `RateLimit-Policy` and `RateLimit` of the bucket that has least left
    (draft-ietf-httpapi-ratelimit-headers), and a refusal `Retry-After`.

    Args:
        address: Limit of every client address.
        user: Limit of every signed-in user, if there is one.
        sign_in: Limit of a client address on the paths where passwords are tried.
        identify: Returns the signed-in user of a request, verified, or None.
        trusted_proxies: Whose `X-Forwarded-For` is believed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        address: TokenBucket,
        user: TokenBucket,
        sign_in: TokenBucket,
        identify: Callable[[Scope], Awaitable[str | None]] = _nobody,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        """Wrap `app`."""
        self.app = app
        self.address = address
        self.user = user
        self.sign_in = sign_in
        self.identify = identify
        self.trusted_proxies = tuple(trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or answer 429."""
        if scope["type"] != "http" or scope["path"] in UNLIMITED_PATHS:
            await self.app(scope, receive, send)
            return
        bucket, decision = await self._decide(scope)
        headers = [
            (b"ratelimit-policy", bucket.policy),
            (b"ratelimit", bucket.left(decision)),
        ]

        def send_counted(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            return send(message)

        if decision.is_allowed:
            await self.app(scope, receive, send_counted)
        else:
            error = RateLimited(
                f"Wait {decision.wait_s} s before the next request.", retry_after_s=decision.wait_s
            )
            await render(error, scope)(scope, receive, send_counted)

    async def _decide(self, scope: Scope) -> tuple[TokenBucket, Decision]:
        """Return the bucket that refuses, or else the one with least left."""
        client = client_address(scope, self.trusted_proxies)
        least = self.address, self.address.take(client)
        if not least[1].is_allowed:
            return least
        if scope["path"] in SIGN_IN_PATHS or scope["path"].startswith(OUTSIDE_PATH):
            return self.sign_in, self.sign_in.take(client)
        user = await self.identify(scope)
        if user is not None:
            mine = self.user.take(user)
            if not mine.is_allowed or mine.remaining < least[1].remaining:
                return self.user, mine
        return least
