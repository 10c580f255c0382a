"""Why the ledger refuses a transfer, as errors for those who asked for it."""

from guilder.kernel.errors import GuilderError, InvariantViolation, Kind, Unavailable
from guilder.ledger.models import Verdict


class IdempotencyKeyReused(GuilderError):
    """An idempotency key stands for one request for ever; another request needs its own."""

    code = "idempotency_key_reused"
    kind = Kind.INVALID
    title = "The idempotency key was used for another request"


class AccountNotFound(GuilderError):
    """Both accounts of a transfer exist."""

    code = "account_not_found"
    kind = Kind.NOT_FOUND
    title = "There is no such account"


class AccountFrozen(GuilderError):
    """Nothing leaves a frozen account. Money may still arrive there."""

    code = "account_frozen"
    kind = Kind.FROZEN
    title = "The account is frozen"


class AccountClosed(GuilderError):
    """Nothing moves on a closed account."""

    code = "account_closed"
    kind = Kind.CONFLICT
    title = "The account is closed"


class AccountNotEmpty(GuilderError):
    """An account is closed when nothing stands on it and nothing is held."""

    code = "account_not_empty"
    kind = Kind.CONFLICT
    title = "There is still money on the account"


class AssetMismatch(GuilderError):
    """A transfer and its two accounts are in one asset."""

    code = "asset_mismatch"
    kind = Kind.INVALID
    title = "The account is kept in another currency"


class SameAccount(GuilderError):
    """A transfer has two different accounts."""

    code = "same_account"
    kind = Kind.INVALID
    title = "Sender and recipient are the same"


class AmountInvalid(GuilderError):
    """An amount is a whole number of minor units from 1 to 2^63-1."""

    code = "amount_invalid"
    kind = Kind.INVALID
    title = "The amount is not valid"


class InsufficientFunds(GuilderError):
    """What leaves an account is available there: posted, and not reserved by a hold."""

    code = "insufficient_funds"
    kind = Kind.NOT_COVERED
    title = "Insufficient funds"


class LimitExceeded(GuilderError):
    """Money stays within the limits that are set for whoever moves it."""

    code = "limit_exceeded"
    kind = Kind.INVALID
    title = "A limit would be exceeded"


class OriginalNotFound(GuilderError):
    """A reversal names a transfer that moved money between its two accounts, the other way."""

    code = "original_not_found"
    kind = Kind.NOT_FOUND
    title = "There is no such transfer to reverse"


class ReversalExceedsOriginal(GuilderError):
    """All reversals of a transfer together take back no more than it moved."""

    code = "reversal_exceeds_original"
    kind = Kind.INVALID
    title = "More would be reversed than was moved"


class HoldNotFound(GuilderError):
    """A capture or release names a hold between its two accounts."""

    code = "hold_not_found"
    kind = Kind.NOT_FOUND
    title = "There is no such hold"


class HoldSettled(GuilderError):
    """A hold is captured or released once."""

    code = "hold_settled"
    kind = Kind.CONFLICT
    title = "Nothing is left of the hold"


class HoldExpired(GuilderError):
    """A hold is captured before it expires."""

    code = "hold_expired"
    kind = Kind.EXPIRED
    title = "The hold has expired"


class CaptureExceedsHold(GuilderError):
    """No more is captured than is left of the hold."""

    code = "capture_exceeds_hold"
    kind = Kind.INVALID
    title = "More than is left of the hold"


class GroupFailed(GuilderError):
    """Transfers of one group succeed or fail together."""

    code = "group_failed"
    kind = Kind.INVALID
    title = "Another transfer of the group was refused"


class BalanceOverflow(GuilderError):
    """A balance stays within 2^63-1 minor units."""

    code = "overflow"
    kind = Kind.INVALID
    title = "The balance would be too large to keep"


class Overloaded(Unavailable):
    """There is room in the queue of the journal writer. Nothing was written."""

    code = "overloaded"
    title = "Too many requests are waiting"


class BooksDiffer(GuilderError):
    """The books are what the journal says. If not, nobody is served until somebody has looked."""

    code = "books_differ"
    kind = Kind.UNAVAILABLE
    title = "The books are not right"


class CheckpointUnreadable(GuilderError):
    """A checkpoint is given as `/v1/ledger/checkpoints` shows it, in JSON."""

    code = "checkpoint_unreadable"
    kind = Kind.INVALID
    title = "This is not a checkpoint"


class BookNotEmpty(GuilderError):
    """Books are imported where there are none."""

    code = "book_not_empty"
    kind = Kind.CONFLICT
    title = "There are books already"


class ExportRefused(GuilderError):
    """What is imported is a whole export, and its books are right. The detail names the line."""

    code = "export_refused"
    kind = Kind.INVALID
    title = "The export cannot be imported"


_REFUSALS: dict[Verdict, type[GuilderError]] = {
    Verdict.EXISTS_DIFFERENT: IdempotencyKeyReused,
    Verdict.ACCOUNT_NOT_FOUND: AccountNotFound,
    Verdict.ACCOUNT_FROZEN: AccountFrozen,
    Verdict.ACCOUNT_CLOSED: AccountClosed,
    Verdict.ASSET_MISMATCH: AssetMismatch,
    Verdict.SAME_ACCOUNT: SameAccount,
    Verdict.AMOUNT_INVALID: AmountInvalid,
    Verdict.INSUFFICIENT_FUNDS: InsufficientFunds,
    Verdict.LIMIT_EXCEEDED: LimitExceeded,
    Verdict.ORIGINAL_NOT_FOUND: OriginalNotFound,
    Verdict.REVERSAL_EXCEEDS_ORIGINAL: ReversalExceedsOriginal,
    Verdict.HOLD_NOT_FOUND: HoldNotFound,
    Verdict.HOLD_SETTLED: HoldSettled,
    Verdict.HOLD_EXPIRED: HoldExpired,
    Verdict.CAPTURE_EXCEEDS_HOLD: CaptureExceedsHold,
    Verdict.GROUP_FAILED: GroupFailed,
    Verdict.OVERFLOW: BalanceOverflow,
}


def refusal(verdict: Verdict, detail: str = "") -> GuilderError:
    """Return the error that stands for a refusal.

    Raises:
        InvariantViolation: `verdict` is none: the transfer is in the journal.
    """
    error = _REFUSALS.get(verdict)
    if error is None:
        raise InvariantViolation(f"{verdict} is no refusal")
    return error(detail)
