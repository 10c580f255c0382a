"""The table of roles: what must be true of it, whatever else is added."""

from dataclasses import replace
from pathlib import Path

import pytest

from guilder.identity.authentication import Principal
from guilder.identity.errors import Forbidden, SignedInWithoutSecondFactor
from guilder.identity.roles import (
    GRANTABLE,
    ROLE_PERMISSIONS,
    STAFF_ONLY,
    Permission,
    Role,
    is_staff,
    may,
)
from guilder.kernel.ids import UserId, WalletId

MONEY = {
    Permission.TRANSFERS_WRITE,
    Permission.HOLDS_WRITE,
    Permission.PAYMENTS_WRITE,
    Permission.PAYOUTS_WRITE,
    Permission.PAYMENT_REQUESTS_WRITE,
    Permission.SCHEDULES_WRITE,
}
STAFF = {Role.SUPPORT, Role.OPERATOR, Role.AUDITOR}


def test_every_role_is_in_the_table_and_every_permission_is_somebodys() -> None:
    assert set(ROLE_PERMISSIONS) == set(Role)
    assert set().union(*ROLE_PERMISSIONS.values()) == set(Permission)


@pytest.mark.parametrize("role", sorted(STAFF))
def test_whoever_works_for_the_deployment_moves_no_money(role: Role) -> None:
    assert not ROLE_PERMISSIONS[role] & MONEY
    assert Permission.API_KEYS_WRITE not in ROLE_PERMISSIONS[role]


def test_roles_are_set_and_sessions_ended_by_operators_alone_and_customers_see_nobody_else() -> (
    None
):
    setters = {role for role in Role if Permission.ROLES_WRITE in ROLE_PERMISSIONS[role]}
    assert setters == {Role.OPERATOR}
    enders = {role for role in Role if Permission.SESSIONS_END in ROLE_PERMISSIONS[role]}
    assert enders == {Role.OPERATOR}
    others = {Permission.USERS_READ, Permission.AUDIT_READ, Permission.KYC_DECIDE}
    assert not ROLE_PERMISSIONS[Role.USER] & others


def test_staff_are_those_who_may_what_no_customer_may() -> None:
    assert {role for role in Role if is_staff(role)} == STAFF
    about_others = {
        Permission.USERS_READ,
        Permission.AUDIT_READ,
        Permission.ROLES_WRITE,
        Permission.SESSIONS_END,
        Permission.KYC_DECIDE,
    }
    assert about_others == STAFF_ONLY
    assert not STAFF_ONLY & GRANTABLE


@pytest.mark.parametrize("role", sorted(Role))
def test_asvs_6_3_3_what_only_staff_may_takes_a_second_factor_and_nothing_else_does(
    role: Role,
) -> None:
    by_password = Principal(UserId("user_a"), WalletId("wallet_a"), None, role=role)
    by_both = replace(by_password, has_second_factor=True)
    for permission in Permission:
        if permission not in ROLE_PERMISSIONS[role]:
            for each in (by_password, by_both):
                with pytest.raises(Forbidden):
                    each.check(permission)
            continue
        by_both.check(permission)
        if permission in STAFF_ONLY:
            with pytest.raises(SignedInWithoutSecondFactor):
                by_password.check(permission)
        else:
            by_password.check(permission)


def test_an_auditor_writes_nothing_but_what_protects_his_own_account() -> None:
    writes = {each for each in ROLE_PERMISSIONS[Role.AUDITOR] if not each.endswith(":read")}
    assert writes == {Permission.SECURITY_WRITE}


def test_a_key_makes_no_keys_changes_no_security_and_starts_nothing_that_outlives_it() -> None:
    assert ROLE_PERMISSIONS[Role.USER] >= GRANTABLE
    assert not GRANTABLE & {
        Permission.API_KEYS_READ,
        Permission.API_KEYS_WRITE,
        Permission.SECURITY_READ,
        Permission.SECURITY_WRITE,
        Permission.ACCOUNT_CLOSE,
        Permission.SCHEDULES_WRITE,
    }


def test_a_key_may_what_its_scope_its_kind_and_its_users_role_allow() -> None:
    wanted = Permission.TRANSFERS_WRITE
    assert may(Role.USER, None, wanted)
    assert may(Role.USER, frozenset({wanted}), wanted)
    assert not may(Role.USER, frozenset(), wanted)
    assert not may(Role.OPERATOR, frozenset({wanted}), wanted)
    beyond = Permission.API_KEYS_WRITE
    assert may(Role.USER, None, beyond)
    assert not may(Role.USER, frozenset({beyond}), beyond)


def test_the_page_about_permissions_has_this_table() -> None:
    page = (Path(__file__).parents[3] / "docs/concepts/permissions.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    written = {
        cells[1].strip(" `"): [cell.strip() == "yes" for cell in cells[3:-1]] for cells in rows
    }
    assert written == {
        each: [*(each in ROLE_PERMISSIONS[role] for role in Role), each in GRANTABLE]
        for each in Permission
    }


def test_a_refusal_names_the_permission() -> None:
    principal = Principal(UserId("user_a"), WalletId("wallet_a"), None, scopes=frozenset())
    with pytest.raises(Forbidden, match="`wallet:read`"):
        principal.check(Permission.WALLET_READ)
