"""One real Guilder process for all scenarios, and the people who use it."""

import secrets
from collections.abc import Callable, Iterator

import httpx2
import pytest

from guilder.cli.demo.browser import press
from guilder.cli.demo.person import Person, wait_until
from guilder.cli.demo.server import TemporaryGuilder

QUICK = {"GUILDER_BCRYPT_COST": "4", "GUILDER_RATE_LIMIT_ENABLED": "false"}
"""All scenarios register their people from one address within seconds."""

NewPerson = Callable[[str], Person]


@pytest.fixture(scope="session")
def guilder() -> Iterator[TemporaryGuilder]:
    """Start a Guilder on a database of its own; afterwards its books must be right."""
    with TemporaryGuilder(QUICK) as running:
        running.start()
        yield running
        running.stop()
        verified = running.verify()
        assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.fixture
def http(guilder: TemporaryGuilder) -> Iterator[httpx2.Client]:
    timeout = httpx2.Timeout(20.0)
    with httpx2.Client(
        base_url=guilder.url, timeout=timeout, trust_env=False, follow_redirects=True
    ) as client:
        yield client


@pytest.fixture
def new_person(http: httpx2.Client) -> NewPerson:
    """Return a function that registers and signs in somebody of a role."""
    run = secrets.token_hex(4)

    def make(role: str) -> Person:
        person = Person(http, role=role, run=run)
        person.register()
        person.sign_in()
        return person

    return make


@pytest.fixture
def funded(http: httpx2.Client, new_person: NewPerson) -> Callable[[str, int], Person]:
    """Return a function that also has them pay in an amount of minor units."""

    def make(role: str, amount_minor: int) -> Person:
        person = new_person(role)
        payment = person.add_funds(amount_minor=amount_minor)
        assert payment.checkout_url is not None
        press(http, payment.checkout_url, "Pay")
        wait_until(person.wallet, lambda wallet: wallet.balance == amount_minor)
        assert person.wallet().balance == amount_minor
        return person

    return make
