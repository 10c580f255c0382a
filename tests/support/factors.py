"""People with second factors, for tests: an app that shows codes, and what it is asked for."""

from dataclasses import dataclass, field

from guilder.identity.authentication import Principal
from guilder.identity.challenges import Given
from guilder.identity.devices import NO_DEVICE, Device
from guilder.identity.factors.errors import SecondFactorRequired, StepUpRequired
from guilder.identity.factors.rules import STEP_S, Method
from guilder.identity.factors.totp import code_at
from guilder.identity.service import IdentityService
from guilder.identity.sessions import SignIn
from tests.support.identity import PASSWORD, HandClock


@dataclass
class App:
    """An authenticator app: shows a code that was not shown before, and lets time pass for it."""

    secret: str
    clock: HandClock
    recovery_codes: list[str] = field(default_factory=list)

    @property
    def now(self) -> str:
        """The code of this moment, shown before or not."""
        return code_at(self.secret, int(self.clock().timestamp()) // STEP_S)

    @property
    def next(self) -> str:
        """The code of half a minute later, when it is."""
        self.clock.move(seconds=STEP_S)
        return self.now

    def given(self) -> Given:
        """Return the next code for a challenge."""
        return Given(method=Method.TOTP, code=self.next)


def wrong(method: Method = Method.TOTP) -> Given:
    """Return what is never right."""
    return Given(method=method, code="000 00x")


async def principal_of(identity: IdentityService, email: str) -> Principal:
    """Sign somebody in who has no second factor."""
    sign_in = await identity.login(email=email, password=PASSWORD)
    return identity.principal(sign_in.access_token)


async def with_app(identity: IdentityService, principal: Principal, clock: HandClock) -> App:
    """Set up an app for somebody who is signed in."""
    made = await identity.factors.enrol_totp(principal, client=None)
    app = App(made.secret, clock)
    app.recovery_codes = await identity.factors.confirm_totp(principal, app.next, client=None)
    return app


async def asked(
    identity: IdentityService, email: str, *, device: Device = NO_DEVICE, client: str | None = None
) -> str:
    """Sign in by password as far as the second factor; return the challenge's id."""
    try:
        await identity.login(email=email, password=PASSWORD, device=device, client=client)
    except SecondFactorRequired as required:
        return challenge_of(required)
    raise AssertionError("no second factor was asked for")


def challenge_of(error: SecondFactorRequired | StepUpRequired) -> str:
    """Return the id of the challenge that a refusal asks to prove."""
    challenge = error.extension["challenge"]
    assert isinstance(challenge, dict)
    return str(challenge["id"])


async def answered(
    identity: IdentityService,
    challenge_id: str,
    given: Given,
    *,
    by: Principal | None = None,
    remember: bool = False,
    device: Device = NO_DEVICE,
    client: str | None = None,
) -> SignIn:
    """Give a factor at sign-in."""
    sign_in = await identity.factors.answer(
        challenge_id, given, by=by, remember_device=remember, client=client, device=device
    )
    assert isinstance(sign_in, SignIn)
    return sign_in
