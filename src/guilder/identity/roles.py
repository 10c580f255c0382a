"""Who may do what: every permission, every role, and the one table that joins them."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Permission(StrEnum):
    """What a route needs. API keys have the same words as their scopes.

    A permission is about one's own things unless its docstring says more.
    """

    PROFILE_READ = "profile:read"
    """One's own record, verification and documents."""
    SECURITY_READ = "security:read"
    """One's sessions, factors, keys and links, without their secrets."""
    SECURITY_WRITE = "security:write"
    """Whatever protects the account: password, address, number, factors, sessions, links."""
    PERSONAL_DATA_READ = "personal_data:read"
    """Everything about oneself in one file."""
    ACCOUNT_CLOSE = "account:close"
    """Close one's account for good."""
    KYC_WRITE = "kyc:write"
    """Hand in documents about oneself."""
    API_KEYS_READ = "api_keys:read"
    """Keys and their use, without their secrets."""
    API_KEYS_WRITE = "api_keys:write"
    """Make, change and end keys."""
    WALLET_READ = "wallet:read"
    """Balances, transactions, and whatever is going to become one."""
    WALLET_WRITE = "wallet:write"
    """Freeze and close one's wallet."""
    TRANSFERS_WRITE = "transfers:write"
    """Send money, send it back, and pay what somebody asked for."""
    HOLDS_WRITE = "holds:write"
    """Reserve money, capture and release it."""
    PAYMENTS_WRITE = "payments:write"
    """Bring money in."""
    PAYOUTS_WRITE = "payouts:write"
    """Take money out."""
    PAYMENT_REQUESTS_WRITE = "payment_requests:write"
    """Ask for money, take it back, decline what others ask for."""
    SCHEDULES_WRITE = "schedules:write"
    """Plan transfers, and cancel plans."""
    USERS_READ = "users:read"
    """Everybody's record, address and number masked."""
    AUDIT_READ = "audit:read"
    """The whole record of security events."""
    ROLES_WRITE = "roles:write"
    """Set other people's roles."""
    SESSIONS_END = "sessions:end"
    """End anybody's sessions."""
    KYC_DECIDE = "kyc:decide"
    """See and decide what anybody handed in."""


class Role(StrEnum):
    """What somebody is to this deployment."""

    USER = "user"
    """A customer."""
    SUPPORT = "support"
    """Helps customers: sees who they are, changes nothing."""
    OPERATOR = "operator"
    """Runs the deployment: roles, decisions, other people's sessions."""
    AUDITOR = "auditor"
    """Reads what was done, and does nothing."""


_OWN_ACCOUNT: Final = frozenset(
    {
        Permission.PROFILE_READ,
        Permission.SECURITY_READ,
        Permission.SECURITY_WRITE,
        Permission.PERSONAL_DATA_READ,
        Permission.WALLET_READ,
    }
)
"""Of everybody, staff too. Whoever works for the deployment moves no money here: who sets roles and
decides about customers has no wallet that profits from it.
"""
_STAFF: Final = _OWN_ACCOUNT | {Permission.USERS_READ}

ROLE_PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {
        Role.USER: _OWN_ACCOUNT
        | {
            Permission.ACCOUNT_CLOSE,
            Permission.KYC_WRITE,
            Permission.API_KEYS_READ,
            Permission.API_KEYS_WRITE,
            Permission.WALLET_WRITE,
            Permission.TRANSFERS_WRITE,
            Permission.HOLDS_WRITE,
            Permission.PAYMENTS_WRITE,
            Permission.PAYOUTS_WRITE,
            Permission.PAYMENT_REQUESTS_WRITE,
            Permission.SCHEDULES_WRITE,
        },
        Role.SUPPORT: _STAFF,
        Role.OPERATOR: _STAFF
        | {
            Permission.AUDIT_READ,
            Permission.ROLES_WRITE,
            Permission.SESSIONS_END,
            Permission.KYC_DECIDE,
        },
        Role.AUDITOR: _STAFF | {Permission.AUDIT_READ},
    }
)
"""The one table. What is not in it is refused."""

STAFF_ONLY: Final = (
    frozenset[Permission]().union(*ROLE_PERMISSIONS.values()) - (ROLE_PERMISSIONS[Role.USER])
)
"""What no customer may. It takes a session that was opened with a second factor."""

GRANTABLE: Final = frozenset(
    {
        Permission.PROFILE_READ,
        Permission.WALLET_READ,
        Permission.TRANSFERS_WRITE,
        Permission.HOLDS_WRITE,
        Permission.PAYMENTS_WRITE,
        Permission.PAYOUTS_WRITE,
        Permission.PAYMENT_REQUESTS_WRITE,
    }
)
"""What a key may be given. The rest stays with whoever has signed in: a key makes no keys, changes
nothing that protects the account, has nothing to do with other people, and starts nothing that
would outlive it and its budget.
"""


def is_staff(role: Role) -> bool:
    """Tell whether a role sees, or decides about, other people."""
    return not STAFF_ONLY.isdisjoint(ROLE_PERMISSIONS[role])


def may(role: Role, scopes: frozenset[Permission] | None, wanted: Permission) -> bool:
    """Tell whether somebody may do something.

    Args:
        role: Of the user.
        scopes: Of the key; None for somebody who has signed in.
        wanted: What a route needs.
    """
    if wanted not in ROLE_PERMISSIONS[role]:
        return False
    return scopes is None or (wanted in GRANTABLE and wanted in scopes)
