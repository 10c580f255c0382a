"""What a transfer may look like on the wire."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from guilder.transfers.schemas import TransferBody

GOOD: dict[str, Any] = {"amount": 1250, "currency": "USD", "to": {"email": "payee@example.com"}}


def read(body: object) -> TransferBody:
    return TransferBody.model_validate_json(json.dumps(body))


def test_the_least_that_is_needed() -> None:
    body = read(GOOD)
    assert (body.amount, body.currency, body.description) == (1250, "USD", "")
    assert (body.to.email, body.to.phone, body.to.wallet_id) == ("payee@example.com", None, None)


@pytest.mark.parametrize("amount", [1, 2**63 - 1])
def test_amounts_at_the_edges(amount: int) -> None:
    assert read({**GOOD, "amount": amount}).amount == amount


@pytest.mark.parametrize("amount", [0, -1, 2**63, 10**30, 1.0, 12.5, 1e3, "1250", True, None, [1]])
def test_asvs_2_2_1_what_is_no_amount(amount: Any) -> None:
    with pytest.raises(ValidationError):
        read({**GOOD, "amount": amount})


@pytest.mark.parametrize(
    "to",
    [
        {},
        {"email": "a@example.com", "phone": "+12025550123"},
        {"email": "a@example.com", "wallet_id": "wallet_x"},
        {"email": None},
        {"email": ""},
        {"email": "x" * 255},
        {"email": 5},
        {"user_id": "user_x"},
        {"email": "a@example.com", "extra": 1},
        "payee@example.com",
        None,
    ],
    ids=str,
)
def test_exactly_one_recipient(to: Any) -> None:
    with pytest.raises(ValidationError):
        read({**GOOD, "to": to})


@pytest.mark.parametrize(
    "change",
    [
        {"description": "x" * 201},
        {"description": None},
        {"currency": "US"},
        {"currency": "x" * 33},
        {"currency": 840},
        *({name: 1} for name in ("from", "balance", "status", "fee", "wallet_id", "category")),
    ],
    ids=str,
)
def test_what_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read({**GOOD, **change})


@pytest.mark.parametrize("name", GOOD)
def test_what_is_missing(name: str) -> None:
    with pytest.raises(ValidationError):
        read({key: value for key, value in GOOD.items() if key != name})
