"""Someone in the story: an HTTP client who has a name, a password and, once signed in, a token."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2
import msgspec

from guilder.cli.demo.answers import (
    Payment,
    Payout,
    Problem,
    Session,
    TransactionPage,
    User,
    Wallet,
)
from guilder.cli.demo.failure import StoryStopped

Answer = TypeVar("Answer")

PATIENCE_S = 10.0
"""Longest wait for a webhook. The simulator sends its first within a second."""
_PAUSE_S = 0.05
_PASSWORD = "plum-harbour-violin-84"  # noqa: S105 - of people who exist for one story


def wait_until(question: Callable[[], Answer], is_done: Callable[[Answer], bool]) -> Answer:
    """Ask again until the answer is final or patience ends, and return the last answer."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_done(answer := question()) and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
    return answer


def read(response: httpx2.Response, shape: type[Answer], *, status: int) -> Answer:
    """Decode an answer.

    Raises:
        StoryStopped: It has another status, or another shape.
    """
    request = response.request
    if response.status_code != status:
        message = (
            f"{request.method} {request.url.path} answered {response.status_code}, "
            f"not {status}: {response.text[:500]}"
        )
        raise StoryStopped(message)
    try:
        return msgspec.json.decode(response.content, type=shape)
    except msgspec.MsgspecError as error:
        message = f"{request.method} {request.url.path} answered in an unknown shape: {error}"
        raise StoryStopped(message) from error


class Person:
    """A user of Guilder.

    Args:
        http: Client whose base is the Guilder to talk to.
        role: Name, such as `Buyer`; also the first part of the e-mail address.
        run: Makes addresses and idempotency keys of this story differ from every other's.
    """

    def __init__(self, http: httpx2.Client, *, role: str, run: str) -> None:
        self.role = role
        self.email = f"{role.lower()}-{run}@example.com"
        self._http = http
        self._run = run
        self._keys = 0
        self._headers: dict[str, str] = {}

    def register(self) -> User:
        """Open an account of this person, and with it a wallet."""
        body = {"name": f"Demo {self.role}", "email": self.email, "password": _PASSWORD}
        return read(self._http.post("/v1/register", json=body), User, status=201)

    def sign_in(self) -> Session:
        """Sign in; every later call is made as this person."""
        body = {"email": self.email, "password": _PASSWORD}
        session = read(self._http.post("/v1/login", json=body), Session, status=200)
        self._headers = {"Authorization": f"Bearer {session.access_token}"}
        return session

    def new_key(self) -> str:
        """Return an idempotency key that was not used before."""
        self._keys += 1
        return f"demo-{self._run}-{self.role.lower()}-{self._keys}"

    def wallet(self) -> Wallet:
        """Read the wallet."""
        return self._read("/v1/wallet", Wallet)

    def add_funds(self, *, amount_minor: int) -> Payment:
        """Ask for a checkout."""
        body = {"amount": amount_minor, "currency": "USD", "gateway": "simulator"}
        return read(self._post("/v1/wallet/add-funds", body), Payment, status=201)

    def payment(self, payment_id: str) -> Payment:
        """Read how a payment stands."""
        return self._read(f"/v1/payments/{payment_id}", Payment)

    def transfer(self, *, to: str, amount_minor: int, key: str = "") -> httpx2.Response:
        """Send money to an e-mail address; the answer is returned as it came."""
        body = {
            "amount": amount_minor,
            "currency": "USD",
            "to": {"email": to},
            "description": "Two concert tickets",
        }
        return self._post("/v1/wallet/transfer", body, key=key)

    def withdraw(self, *, amount_minor: int, bank: str) -> Payout:
        """Ask for money to be sent to a bank account of the simulator."""
        body = {
            "amount": amount_minor,
            "currency": "USD",
            "destination": {"type": "bank_account", "token": bank},
        }
        return read(self._post("/v1/wallet/withdraw", body), Payout, status=201)

    def payout(self, payout_id: str) -> Payout:
        """Read how a payout stands."""
        return self._read(f"/v1/payouts/{payout_id}", Payout)

    def transactions(self, *, limit: int, cursor: str | None = None) -> TransactionPage:
        """Read one page of history, newest first."""
        query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        response = self._http.get("/v1/transactions", params=query, headers=self._headers)
        return read(response, TransactionPage, status=200)

    def _read(self, path: str, shape: type[Answer]) -> Answer:
        return read(self._http.get(path, headers=self._headers), shape, status=200)

    def _post(self, path: str, body: dict[str, Any], *, key: str = "") -> httpx2.Response:
        headers = {**self._headers, "Idempotency-Key": key or self.new_key()}
        return self._http.post(path, json=body, headers=headers)


def problem_of(response: httpx2.Response) -> Problem:
    """Read an error answer.

    Raises:
        StoryStopped: It is none.
    """
    return read(response, Problem, status=response.status_code)
