"""What identity tells people: codes and links they asked for, and changes they should know of."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from guilder.identity.addresses import Addresses, Contact
from guilder.identity.claims import holds
from guilder.identity.codes import TTL_MAX_S
from guilder.identity.models import User
from guilder.kernel.clock import Clock
from guilder.kernel.ids import UserId
from guilder.notifications.outbox import Channel, Outbox
from guilder.storage.base import Transaction


class Notices:
    """Leaves messages in the outbox, in the transaction of what they are about."""

    def __init__(self, outbox: Outbox, *, addresses: Addresses, clock: Clock) -> None:
        """Take what writing needs; does nothing yet."""
        self._outbox = outbox
        self._addresses = addresses
        self._clock = clock

    async def code(
        self,
        transaction: Transaction | None,
        template: str,
        *,
        to: Contact,
        code: str,
        user_id: UserId | None,
        is_decoy: bool = False,
    ) -> None:
        """Send a one-time code.

        Args:
            transaction: Of the change that it is about.
            template: One of the outbox's.
            to: Where it is to be shown that messages are read.
            code: As issued a moment ago.
            user_id: Whom it is about, if they are known.
            is_decoy: Do all the work and send nothing.
        """
        await self._outbox.put(
            transaction,
            channel=to.channel,
            to=to.text,
            template=template,
            values={"code": code, "minutes": str(TTL_MAX_S // 60)},
            user_id=user_id,
            expires_at=self._clock() + timedelta(seconds=TTL_MAX_S),
            is_decoy=is_decoy,
        )

    async def reset(
        self,
        transaction: Transaction,
        *,
        to: Contact,
        token: str,
        page: str | None,
        ttl_s: int,
        user_id: UserId | None,
    ) -> None:
        """Send the token that sets a new password; a decoy if it is for nobody.

        Args:
            transaction: Of the token.
            to: The address asked for.
            token: As issued a moment ago.
            page: Where the link leads; without one, the message shows the token itself.
            ttl_s: For how long the token is good.
            user_id: Whom it is for.
        """
        # Behind `#` it stays in the browser: no server and no log sees it.
        way = {"link": f"{page}#token={token}"} if page else {"code": token}
        await self._outbox.put(
            transaction,
            channel=to.channel,
            to=to.text,
            template="password_reset",
            values={**way, "minutes": str(ttl_s // 60)},
            user_id=user_id,
            expires_at=self._clock() + timedelta(seconds=ttl_s),
            is_decoy=user_id is None,
        )

    async def attempt(
        self, transaction: Transaction, *, to: Contact, user_id: UserId | None
    ) -> None:
        """Tell a user that somebody tried to register with their address or number.

        Args:
            transaction: Of the registration.
            to: Where the user reads.
            user_id: Whom; a decoy if it is nobody.
        """
        await self._outbox.put(
            transaction,
            channel=to.channel,
            to=to.text,
            template="sign_up_attempt",
            values={"at": for_people(self._clock())},
            user_id=user_id,
            is_decoy=user_id is None,
        )

    async def tell(
        self,
        transaction: Transaction,
        user: User,
        template: str,
        values: Mapping[str, str] = MappingProxyType({}),
        *,
        only_by_mail: bool = False,
    ) -> None:
        """Tell a user what has happened: by e-mail, or by SMS where only a number is sure.

        What would go to somebody else's address or number is not sent.

        Args:
            transaction: Of what has happened.
            user: Whom.
            template: One of the outbox's.
            values: Of the template, beside the time.
            only_by_mail: It is not worth an SMS.
        """
        contact = self._addresses.reach_of(user)
        if contact is None or (only_by_mail and contact.channel is not Channel.EMAIL):
            return
        is_theirs = holds(user, contact)
        await self._outbox.put(
            transaction,
            channel=contact.channel,
            to=contact.text,
            template=template,
            values={**values, "at": for_people(self._clock())},
            user_id=user.user_id if is_theirs else None,
            is_decoy=not is_theirs,
        )


def for_people(time: datetime) -> str:
    """Write a time as people read it.

    >>> for_people(datetime(2026, 1, 31, 12, tzinfo=UTC))
    '31 January 2026, 12:00 UTC'
    """
    utc = time.astimezone(UTC)
    return f"{utc.day} {utc:%B %Y, %H:%M} UTC"
