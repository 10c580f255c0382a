"""What routes about money may be refused with, by what they do; each adds what only it may meet."""

from typing import Final

from guilder.identity.errors import Unauthenticated
from guilder.kernel.currency import UnknownCurrency
from guilder.kernel.errors import InvalidRequest, Malformed, Unavailable
from guilder.kernel.pages import CursorMismatch
from guilder.ledger.errors import (
    AccountClosed,
    AccountFrozen,
    IdempotencyKeyReused,
    InsufficientFunds,
    LimitExceeded,
    Overloaded,
)
from guilder.middlewares.errors import RateLimited, UnsupportedMediaType
from guilder.middlewares.idempotency import IdempotencyKeyRequired

READ: Final = (Unauthenticated, RateLimited, Unavailable)
"""Whatever is asked by somebody who has to be signed in."""

LIST: Final = (*READ, InvalidRequest, Malformed, CursorMismatch)
"""A page of a list."""

ORDER: Final = (
    *READ,
    Malformed,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    UnsupportedMediaType,
    InvalidRequest,
    UnknownCurrency,
)
"""A body with an amount of money, under an idempotency key."""

SPENDING: Final = (InsufficientFunds, AccountFrozen, AccountClosed, LimitExceeded, Overloaded)
"""What the ledger says to a debit of the caller's wallet."""
