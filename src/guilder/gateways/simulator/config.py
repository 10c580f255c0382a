"""How a simulator is set up, on its own side and on ours."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """What both sides must know about each other.

    Args:
        api_url: Where our adapter reaches the service, such as `http://127.0.0.1:8000/simulator`.
        public_url: Where a browser reaches the service.
        webhook_url: Where the service sends webhooks.
        api_secret: Bearer secret of its API.
        webhook_secrets: The service signs with each of them, and our side accepts
            each; two while a secret is being changed. At least one.
        timeout_ms: How long our adapter waits for an answer.
        tolerance_s: How old a signature may be.
        retry_after_ms: How long the sender waits after each failed attempt; after
            the last it gives up.
        payout_settles_after_ms: How long a payout is on its way.
        every_ms: How often the sender looks for what is due when nobody wakes it.
    """

    api_url: str
    public_url: str
    webhook_url: str
    api_secret: str
    webhook_secrets: tuple[str, ...]
    timeout_ms: int = 5_000
    tolerance_s: int = 300
    retry_after_ms: tuple[int, ...] = (
        1_000, 5_000, 30_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 86_400_000,
    )  # fmt: skip
    payout_settles_after_ms: int = 500
    every_ms: int = 500
