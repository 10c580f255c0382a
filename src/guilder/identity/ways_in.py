"""Puts together the ways in, and what keeps them: addresses, numbers, passwords."""

import dataclasses
from dataclasses import dataclass

from guilder.identity.code_sign_in import CodeSignIn
from guilder.identity.contact_changes import ContactChanges
from guilder.identity.contacts import Contacts
from guilder.identity.devices import Devices
from guilder.identity.from_config import throttles_of
from guilder.identity.ground import Ground
from guilder.identity.outside.service import OutsideSignIn
from guilder.identity.password_sign_in import PasswordSignIn
from guilder.identity.recovery import Recovery
from guilder.identity.registration import Registrar
from guilder.identity.sessions import Sessions
from guilder.identity.throttles import Throttles

_NEVER = 1_000_000
"""Failures in a row that nobody reaches."""


@dataclass(frozen=True, slots=True)
class WaysIn:
    """See the attributes of the same names of `IdentityService`."""

    contacts: Contacts
    contact_changes: ContactChanges
    password_sign_in: PasswordSignIn
    code_sign_in: CodeSignIn
    recovery: Recovery
    outside: OutsideSignIn


def ways_in(
    ground: Ground, *, sessions: Sessions, devices: Devices, registrar: Registrar
) -> WaysIn:
    """Return every way in but passkeys."""
    # Asking for a code is no failure: it waits longer and longer, and never refused for good.
    patient = dataclasses.replace(ground.config.throttles, consecutive_max=_NEVER)
    requests = throttles_of(ground.config, ground.storage, ground.clock, policy=patient)
    contacts, contact_changes = _contacts(ground, requests)
    password_sign_in = PasswordSignIn(
        storage=ground.storage,
        throttles=ground.throttles,
        passwords=ground.passwords,
        sessions=sessions,
        devices=devices,
        audit=ground.audit,
        is_verified_required=ground.config.verified_contact_required,
    )
    code_sign_in = CodeSignIn(
        storage=ground.storage,
        clock=ground.clock,
        codes=ground.codes,
        throttles=ground.throttles,
        requests=requests,
        notices=ground.notices,
        passwords=ground.passwords,
        sessions=sessions,
        audit=ground.audit,
    )
    return WaysIn(
        contacts,
        contact_changes,
        password_sign_in,
        code_sign_in,
        _recovery(ground, requests, sessions),
        _outside(ground, sessions, registrar),
    )


def _contacts(ground: Ground, requests: Throttles) -> tuple[Contacts, ContactChanges]:
    contacts = Contacts(
        storage=ground.storage,
        clock=ground.clock,
        addresses=ground.addresses,
        codes=ground.codes,
        throttles=ground.throttles,
        requests=requests,
        notices=ground.notices,
        audit=ground.audit,
        sms_offered=ground.config.sms_offered,
    )
    return contacts, ContactChanges(ground, requests=requests)


def _recovery(ground: Ground, requests: Throttles, sessions: Sessions) -> Recovery:
    return Recovery(
        storage=ground.storage,
        clock=ground.clock,
        addresses=ground.addresses,
        links=ground.links,
        throttles=ground.throttles,
        requests=requests,
        notices=ground.notices,
        passwords=ground.passwords,
        sessions=sessions,
        audit=ground.audit,
        page=ground.config.recovery_page,
    )


def _outside(ground: Ground, sessions: Sessions, registrar: Registrar) -> OutsideSignIn:
    return OutsideSignIn(
        storage=ground.storage,
        clock=ground.clock,
        config=ground.config.outside,
        vault=ground.vault,
        addresses=ground.addresses,
        registrar=registrar,
        sessions=sessions,
        notices=ground.notices,
        audit=ground.audit,
        is_verified_required=ground.config.verified_contact_required,
    )
