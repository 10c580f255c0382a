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


async def find_recipient(identity: IdentityService, recipient: Recipient) -> WalletId:
    """Return whose wallet is meant. A wallet's id is taken as it is: it need not exist.

    Raises:
        RecipientNotFound: Nobody has that address.
    """
    if recipient.wallet_id is not None:
        return WalletId(recipient.wallet_id)
    if recipient.email is not None:
        user = await identity.find_by_email(recipient.email)
    else:
        user = await identity.find_by_phone(recipient.phone or "")
    if user is None:
        raise RecipientNotFound
    return user.wallet_id
