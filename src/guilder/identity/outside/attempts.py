"""The way to another company and back: stored, used once, and bound to whoever began it.

Three parties, two proofs. The browser brings a code that only it was given; the client brings the
verifier that only it has. Whoever lures somebody else's browser onto the way gets only half.
"""

import hashlib
import secrets

import msgspec
import structlog
from msgspec import Struct

from guilder.audit.rules import UNKNOWN
from guilder.audit.trail import AuditTrail
from guilder.identity.outside import rules
from guilder.identity.outside.config import OutsideConfig
from guilder.identity.outside.errors import (
    OutsideAnswerRefused,
    OutsideAttemptInvalid,
    OutsideDenied,
    OutsideProviderUnknown,
    OutsideUnavailable,
)
from guilder.identity.outside.exchange import Asked
from guilder.identity.outside.models import (
    AttemptSecrets,
    OutsideAnswer,
    OutsideAttempt,
    OutsidePerson,
)
from guilder.identity.outside.providers import Provider
from guilder.kernel.clock import Clock
from guilder.kernel.errors import FieldError, InvalidRequest
from guilder.kernel.ids import UserId
from guilder.storage.base import Storage
from guilder.vault.vault import Vault, context_of

_TOKEN_BYTES = 32
_VERIFIER_BYTES = 48
"""64 characters of PKCE verifier."""
_DENIED = "access_denied"
_RETURN_URL_ERROR = FieldError(
    "/return_url", "return_url_unknown", "Give one of the addresses that this service was told of."
)
_CHALLENGE_ERROR = FieldError(
    "/challenge",
    "challenge_invalid",
    "Give the SHA-256 of a verifier in base64url: 43 characters.",
)
_read_secrets = msgspec.json.Decoder(AttemptSecrets).decode
_read_person = msgspec.json.Decoder(OutsidePerson).decode
_log = structlog.get_logger(__name__)


class Reply(Struct, frozen=True, kw_only=True):
    """What a browser brings back. Anybody can make one up."""

    state: str | None = None
    code: str | None = None
    issuer: str | None = None
    error: str | None = None

    def __repr__(self) -> str:
        """Return nothing secret."""
        return "Reply(...)"


class Begun(Struct, frozen=True, kw_only=True):
    """Who begins.

    Args:
        return_url: Where the browser goes in the end.
        challenge: S256 of the client's verifier.
        user_id: Who links an account; None: somebody signs in.
    """

    return_url: str
    challenge: str
    user_id: UserId | None = None


class Attempts:
    """The attempts that are under way.

    Invariants:
        Each state and each code is used once, whoever sends it how often at once: what is stored
        under it is removed before anything else is done. No company is called while a database
        transaction is open.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        vault: Vault,
        audit: AuditTrail,
        config: OutsideConfig,
        providers: dict[str, Provider],
    ) -> None:
        """Take what attempts need; does nothing yet."""
        self._attempts = storage.documents(OutsideAttempt)
        self._answers = storage.documents(OutsideAnswer)
        self._clock = clock
        self._vault = vault
        self._audit = audit
        self._config = config
        self._providers = providers

    def provider(self, name: str) -> Provider:
        """Return a company.

        Raises:
            OutsideProviderUnknown: There is none of that name.
        """
        found = self._providers.get(name)
        if found is None:
            raise OutsideProviderUnknown
        return found

    async def begin(self, name: str, begun: Begun) -> str:
        """Store an attempt, and return where the browser is sent.

        Raises:
            OutsideProviderUnknown: There is no such company.
            InvalidRequest: The return address is not one of ours, or the challenge is none.
            OutsideUnavailable: The company does not answer, or not as itself.
        """
        provider = self.provider(name)
        errors = [
            *([] if begun.return_url in self._config.return_urls else [_RETURN_URL_ERROR]),
            *([] if rules.CHALLENGE.fullmatch(begun.challenge) else [_CHALLENGE_ERROR]),
        ]
        if errors:
            raise InvalidRequest(fields=tuple(errors))
        asked = self._new(name)
        try:
            url = await provider.authorization_url(asked)
        except OutsideAnswerRefused as error:
            _log.error("outside_provider_wrong", provider=name, because=error.because)
            raise OutsideUnavailable from error
        now, attempt_id = self._clock(), _digest(asked.state)
        await self._attempts.insert(
            OutsideAttempt(
                id=attempt_id,
                provider=name,
                return_url=begun.return_url,
                challenge=begun.challenge,
                user_id=begun.user_id,
                secrets=self._vault.seal(
                    msgspec.json.encode(asked.secrets).decode(), context=_attempt_place(attempt_id)
                ),
                expires_at=now + rules.ATTEMPT_TTL,
                created_at=now,
                updated_at=now,
            )
        )
        return url

    async def come_back(self, name: str, reply: Reply, *, client: str | None) -> str:
        """Use an attempt up, ask the company who this is, and return where the browser goes on to.

        That address gets `code`, good once and for two minutes, or `error` with the code of the
        rule that was broken.

        Raises:
            OutsideAttemptInvalid: The state is unknown, used, too old, or another company's: there
                is nowhere to send the browser.
            OutsideProviderUnknown: There is no such company.
        """
        provider = self.provider(name)
        attempt = await self._taken(name, reply.state)
        try:
            person = await self._person(provider, attempt, reply)
        except (OutsideDenied, OutsideAnswerRefused, OutsideUnavailable) as error:
            because = error.because if isinstance(error, OutsideAnswerRefused) else error.code
            await self._audit.record(
                "sign_in.refused",
                actor=attempt.user_id or UNKNOWN,
                subject=attempt.user_id or UNKNOWN,
                outcome="refused",
                details={"way": "outside", "provider": name, "because": because},
                address=client,
            )
            _log.info("outside_refused", provider=name, because=because)
            return rules.with_query(attempt.return_url, error=error.code)
        code = await self._keep(attempt, person)
        return rules.with_query(attempt.return_url, code=code)

    async def finish(
        self, code: str, verifier: str, *, user_id: UserId | None
    ) -> tuple[str, OutsidePerson]:
        """Use an answer up, and return the company's name and who somebody is there.

        Args:
            code: From the browser.
            verifier: Of the client that began.
            user_id: Who links an account; None: somebody signs in.

        Raises:
            OutsideAttemptInvalid: Unknown, used, too old, another client's, or for something else.
        """
        answer = await self._answers.get(_digest(code))
        if answer is None or not await self._answers.delete(answer.id):
            raise OutsideAttemptInvalid
        is_theirs = rules.is_verifier_of(verifier, answer.challenge) and answer.user_id == user_id
        if not is_theirs or self._clock() >= answer.expires_at:
            raise OutsideAttemptInvalid
        raw = self._vault.open(answer.person, context=_answer_place(answer.id))
        return answer.provider, _read_person(raw)

    def _new(self, name: str) -> Asked:
        return Asked(
            state=secrets.token_urlsafe(_TOKEN_BYTES),
            secrets=AttemptSecrets(
                nonce=secrets.token_urlsafe(_TOKEN_BYTES),
                verifier=secrets.token_urlsafe(_VERIFIER_BYTES),
            ),
            callback=self._config.callback_url(name),
        )

    async def _taken(self, name: str, state: str | None) -> OutsideAttempt:
        if state is None:
            raise OutsideAttemptInvalid
        attempt = await self._attempts.get(_digest(state))
        if attempt is None or not await self._attempts.delete(attempt.id):
            raise OutsideAttemptInvalid
        if attempt.provider != name or self._clock() >= attempt.expires_at:
            raise OutsideAttemptInvalid
        return attempt

    async def _person(
        self, provider: Provider, attempt: OutsideAttempt, reply: Reply
    ) -> OutsidePerson:
        # Errors too may come from another company than was asked.
        await provider.check_issuer(reply.issuer)
        if reply.error == _DENIED:
            raise OutsideDenied
        if reply.error is not None or not reply.code:
            raise OutsideAnswerRefused("error")
        raw = self._vault.open(attempt.secrets, context=_attempt_place(attempt.id))
        asked = Asked(
            state="",
            secrets=_read_secrets(raw),
            callback=self._config.callback_url(attempt.provider),
        )
        return await provider.person(reply.code, asked)

    async def _keep(self, attempt: OutsideAttempt, person: OutsidePerson) -> str:
        code = secrets.token_urlsafe(_TOKEN_BYTES)
        now, answer_id = self._clock(), _digest(code)
        raw = msgspec.json.encode(person).decode()
        await self._answers.insert(
            OutsideAnswer(
                id=answer_id,
                provider=attempt.provider,
                challenge=attempt.challenge,
                user_id=attempt.user_id,
                person=self._vault.seal(raw, context=_answer_place(answer_id)),
                expires_at=now + rules.ANSWER_TTL,
                created_at=now,
                updated_at=now,
            )
        )
        return code


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _attempt_place(attempt_id: str) -> str:
    return context_of(OutsideAttempt.collection, attempt_id, "secrets")


def _answer_place(answer_id: str) -> str:
    return context_of(OutsideAnswer.collection, answer_id, "person")
