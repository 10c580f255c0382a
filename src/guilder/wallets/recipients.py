"""Who is meant by an e-mail address, a phone number or a wallet's id."""

from msgspec import Struct

from guilder.identity.service import IdentityService
from guilder.kernel.ids import WalletId
from guilder.wallets.errors import RecipientNotFound


class Recipient(Struct, frozen=True, kw_only=True):
    """Somebody with a wallet: exactly one of these is given."""

    email: str | None = None
    phone: str | None = None
    wallet_id: str | None = None


async def find_recipients(
    identity: IdentityService, recipients: Collection[Recipient]
) -> dict[Recipient, WalletId]:
    """Return whose wallets are meant, in two queries at most; those that nobody is are left out.

    A wallet's id is taken as it is: it need not exist.
    """
    emails = {each.email for each in recipients if each.wallet_id is None and each.email}
    ...


async def find_recipient(identity: IdentityService, recipient: Recipient) -> WalletId:
    """Return whose wallet is meant. A wallet's id is taken as it is: it need not exist.

    Raises:
        RecipientNotFound: Nobody has that address.
    """
    found = await find_recipients(identity, (recipient,))
    if recipient not in found:
        raise RecipientNotFound
    return found[recipient]
