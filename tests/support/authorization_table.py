"""Who may use which operation: one row for each. Written by hand, so that a route that declares the
wrong thing differs from it. The tests are in `tests/security/test_authorization_matrix.py`.
"""

from dataclasses import dataclass
from typing import Final

from guilder.identity.permissions import PUBLIC, Permission


@dataclass(frozen=True)
class Row:
    """What is expected of an operation.

    Args:
        access: The permission that it needs, or PUBLIC.
        of: Which object its path names; see `authorization_objects.MAKERS`. Another's object must
            be answered exactly like a missing one.
        is_owned: The object has an owner; False for what staff see of everybody.
        asks_first: It asks for a fresh factor before it looks anything up, so it answers another's
            and a missing object with this code.
        is_fresh: It changes its user for good: somebody new uses it.
        missing: The code of a missing object.
    """

    access: str
    of: str | None = None
    is_owned: bool = True
    asks_first: str | None = None
    is_fresh: bool = False
    missing: str = "not_found"


TABLE: Final[dict[str, Row]] = {
    # The server itself. The figures ask for a token of their own.
    "GET /healthz": Row(PUBLIC),
    "GET /readyz": Row(PUBLIC),
    "GET /metrics": Row(PUBLIC),
    "GET /openapi.json": Row(PUBLIC),
    "GET /docs": Row(PUBLIC),
    "GET /docs/docs.css": Row(PUBLIC),
    "GET /docs/docs.js": Row(PUBLIC),
    "GET /mailbox": Row(PUBLIC),
    "GET /mailbox.json": Row(PUBLIC),
    # Ways in.
    "POST /v1/register": Row(PUBLIC),
    "POST /v1/login": Row(PUBLIC),
    "POST /v1/auth/refresh": Row(PUBLIC),
    "POST /v1/auth/logout": Row(PUBLIC),
    "POST /v1/auth/codes": Row(PUBLIC),
    "POST /v1/auth/codes/redeem": Row(PUBLIC),
    "POST /v1/auth/recovery": Row(PUBLIC),
    "POST /v1/auth/recovery/complete": Row(PUBLIC),
    "POST /v1/auth/challenges/{challenge_id}/verify": Row(PUBLIC, of="challenge", is_owned=False),
    "POST /v1/auth/challenges/{challenge_id}/passkey": Row(PUBLIC, of="challenge", is_owned=False),
    "POST /v1/auth/passkeys/options": Row(PUBLIC),
    "POST /v1/auth/passkeys/verify": Row(PUBLIC),
    "GET /v1/auth/outside": Row(PUBLIC),
    "GET /v1/auth/outside/{provider}/start": Row(PUBLIC, of="provider", is_owned=False),
    "GET /v1/auth/outside/{provider}/callback": Row(PUBLIC, of="provider", is_owned=False),
    "POST /v1/auth/outside/complete": Row(PUBLIC),
    # The cookie is what they are about: they look at it themselves, and at who sends it.
    "POST /v1/auth/cookie-session": Row(PUBLIC),
    "POST /v1/auth/cookie-session/refresh": Row(PUBLIC),
    "DELETE /v1/auth/cookie-session": Row(PUBLIC),
    "GET /.well-known/jwks.json": Row(PUBLIC),
    # One's own account.
    "GET /v1/users/me": Row(Permission.PROFILE_READ),
    "POST /v1/users/me/email": Row(Permission.SECURITY_WRITE),
    "POST /v1/users/me/email/confirm": Row(Permission.SECURITY_WRITE),
    "POST /v1/users/me/phone": Row(Permission.SECURITY_WRITE),
    "POST /v1/users/me/phone/confirm": Row(Permission.SECURITY_WRITE),
    "POST /v1/users/me/email/verify": Row(Permission.SECURITY_WRITE),
    "POST /v1/users/me/email/resend": Row(Permission.SECURITY_WRITE),
    "POST /v1/users/me/phone/verify": Row(Permission.SECURITY_WRITE),
    "POST /v1/users/me/phone/resend": Row(Permission.SECURITY_WRITE),
    "POST /v1/users/me/password": Row(Permission.SECURITY_WRITE),
    "GET /v1/users/me/export": Row(Permission.PERSONAL_DATA_READ),
    "POST /v1/users/me/close": Row(Permission.ACCOUNT_CLOSE),
    "GET /v1/users/me/outside": Row(Permission.SECURITY_READ),
    "POST /v1/users/me/outside": Row(Permission.SECURITY_WRITE),
    "DELETE /v1/users/me/outside/{provider}": Row(
        Permission.SECURITY_WRITE, of="provider", is_owned=False
    ),
    "POST /v1/auth/outside/{provider}/link": Row(
        Permission.SECURITY_WRITE, of="provider", is_owned=False
    ),
    "GET /v1/sessions": Row(Permission.SECURITY_READ),
    "DELETE /v1/sessions": Row(Permission.SECURITY_WRITE),
    "DELETE /v1/sessions/{session_id}": Row(Permission.SECURITY_WRITE, of="session"),
    "GET /v1/factors": Row(Permission.SECURITY_READ),
    "POST /v1/factors/totp": Row(Permission.SECURITY_WRITE),
    "POST /v1/factors/totp/confirm": Row(Permission.SECURITY_WRITE),
    "DELETE /v1/factors/totp": Row(Permission.SECURITY_WRITE),
    "POST /v1/factors/recovery-codes": Row(Permission.SECURITY_WRITE),
    "DELETE /v1/factors/devices/{device_id}": Row(Permission.SECURITY_WRITE, of="device"),
    "GET /v1/factors/passkeys": Row(Permission.SECURITY_READ),
    "POST /v1/factors/passkeys": Row(Permission.SECURITY_WRITE),
    "POST /v1/factors/passkey-options": Row(Permission.SECURITY_WRITE),
    "PATCH /v1/factors/passkeys/{passkey_id}": Row(Permission.SECURITY_WRITE, of="passkey"),
    "DELETE /v1/factors/passkeys/{passkey_id}": Row(
        Permission.SECURITY_WRITE, of="passkey", asks_first="step_up_required"
    ),
    "POST /v1/api-keys": Row(Permission.API_KEYS_WRITE),
    "GET /v1/api-keys": Row(Permission.API_KEYS_READ),
    "GET /v1/api-keys/{api_key_id}": Row(Permission.API_KEYS_READ, of="api_key"),
    "PATCH /v1/api-keys/{api_key_id}": Row(Permission.API_KEYS_WRITE, of="api_key"),
    "DELETE /v1/api-keys/{api_key_id}": Row(Permission.API_KEYS_WRITE, of="api_key"),
    "POST /v1/api-keys/{api_key_id}/rotate": Row(Permission.API_KEYS_WRITE, of="api_key"),
    "GET /v1/api-keys/{api_key_id}/usage": Row(Permission.API_KEYS_READ, of="api_key"),
    "GET /v1/kyc": Row(Permission.PROFILE_READ),
    "POST /v1/kyc/documents": Row(Permission.KYC_WRITE),
    "POST /v1/kyc/providers/{name}/callback": Row(PUBLIC, of="gateway", is_owned=False),
    # Wallets.
    "GET /v1/wallet": Row(Permission.WALLET_READ),
    "GET /v1/wallets": Row(Permission.WALLET_READ),
    "GET /v1/wallets/{wallet_id}": Row(Permission.WALLET_READ, of="wallet"),
    "GET /v1/wallets/{wallet_id}/balances": Row(Permission.WALLET_READ, of="wallet"),
    "GET /v1/wallets/{wallet_id}/transactions": Row(Permission.WALLET_READ, of="wallet"),
    "POST /v1/wallets/{wallet_id}/freeze": Row(Permission.WALLET_WRITE, of="wallet", is_fresh=True),
    "POST /v1/wallets/{wallet_id}/unfreeze": Row(Permission.WALLET_WRITE, of="wallet"),
    "POST /v1/wallets/{wallet_id}/close": Row(Permission.WALLET_WRITE, of="wallet", is_fresh=True),
    "GET /v1/transactions": Row(Permission.WALLET_READ),
    "GET /v1/transactions/{transaction_id}": Row(Permission.WALLET_READ, of="transfer"),
    "GET /v1/transactions/{transaction_id}/proof": Row(Permission.WALLET_READ, of="transfer"),
    # Money that moves.
    "POST /v1/wallet/transfer": Row(Permission.TRANSFERS_WRITE),
    "POST /v1/transfers": Row(Permission.TRANSFERS_WRITE),
    "POST /v1/transfers/batch": Row(Permission.TRANSFERS_WRITE),
    "GET /v1/transfers/{transaction_id}": Row(Permission.WALLET_READ, of="transfer"),
    "POST /v1/transfers/{transaction_id}/reversals": Row(
        Permission.TRANSFERS_WRITE, of="incoming_transfer"
    ),
    "POST /v1/holds": Row(Permission.HOLDS_WRITE),
    "GET /v1/holds/{hold_id}": Row(Permission.WALLET_READ, of="hold"),
    "POST /v1/holds/{hold_id}/capture": Row(Permission.HOLDS_WRITE, of="incoming_hold"),
    "POST /v1/holds/{hold_id}/release": Row(Permission.HOLDS_WRITE, of="incoming_hold"),
    "POST /v1/wallet/add-funds": Row(Permission.PAYMENTS_WRITE),
    "GET /v1/payments/{payment_id}": Row(Permission.WALLET_READ, of="payment"),
    "POST /v1/wallet/withdraw": Row(Permission.PAYOUTS_WRITE),
    "GET /v1/payouts/{payout_id}": Row(Permission.WALLET_READ, of="payout"),
    "POST /v1/gateways/{name}/webhook": Row(PUBLIC, of="gateway", is_owned=False),
    # Money that moves later.
    "POST /v1/payment-requests": Row(Permission.PAYMENT_REQUESTS_WRITE),
    "GET /v1/payment-requests": Row(Permission.WALLET_READ),
    "GET /v1/payment-requests/{payment_request_id}": Row(
        Permission.WALLET_READ, of="payment_request"
    ),
    "GET /v1/payment-requests/{payment_request_id}/qr": Row(
        Permission.WALLET_READ, of="payment_request"
    ),
    "POST /v1/payment-requests/{payment_request_id}/pay": Row(
        Permission.TRANSFERS_WRITE, of="incoming_payment_request"
    ),
    "POST /v1/payment-requests/{payment_request_id}/decline": Row(
        Permission.PAYMENT_REQUESTS_WRITE, of="incoming_payment_request"
    ),
    "POST /v1/payment-requests/{payment_request_id}/cancel": Row(
        Permission.PAYMENT_REQUESTS_WRITE, of="payment_request"
    ),
    "GET /pay/{payment_request_id}": Row(PUBLIC, of="payment_request", is_owned=False),
    "POST /v1/schedules": Row(Permission.SCHEDULES_WRITE),
    "GET /v1/schedules": Row(Permission.WALLET_READ),
    "GET /v1/schedules/{schedule_id}": Row(Permission.WALLET_READ, of="schedule"),
    "GET /v1/schedules/{schedule_id}/occurrences": Row(Permission.WALLET_READ, of="schedule"),
    "POST /v1/schedules/{schedule_id}/cancel": Row(Permission.SCHEDULES_WRITE, of="schedule"),
    # The books.
    "GET /v1/ledger/checkpoints": Row(PUBLIC),
    "GET /v1/ledger/keys": Row(PUBLIC),
    # Staff.
    "GET /v1/admin/users/{user_id}": Row(Permission.USERS_READ, of="person", is_owned=False),
    "PUT /v1/admin/users/{user_id}/role": Row(Permission.ROLES_WRITE, of="person", is_owned=False),
    "DELETE /v1/admin/users/{user_id}/sessions": Row(
        Permission.SESSIONS_END, of="person", is_owned=False
    ),
    "GET /v1/admin/kyc/documents": Row(Permission.KYC_DECIDE),
    "POST /v1/admin/kyc/documents/{document_id}/decide": Row(
        Permission.KYC_DECIDE, of="kyc_document", is_owned=False
    ),
    "GET /v1/admin/audit": Row(Permission.AUDIT_READ),
}
"""Methods and paths as the application has them. A path without the prefix that is not here is
looked up with it: it is the same operation.
"""


def row_of(operation: str) -> Row | None:
    """Return the row of an operation, such as `GET /v1/wallet`."""
    method, _, path = operation.partition(" ")
    return TABLE.get(operation) or TABLE.get(f"{method} /v1{path}")
