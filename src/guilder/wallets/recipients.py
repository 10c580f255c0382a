"""Who is meant by an e-mail address, a phone number or a wallet's id."""

from collections.abc import Collection

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
    by_email = await identity.directory.by_emails(
        {each.email for each in recipients if each.email is not None}
    )
    by_phone = await identity.directory.by_phones(
        {each.phone for each in recipients if each.phone is not None}
    )
    found: dict[Recipient, WalletId] = {}
    for each in recipients:
        user = by_phone.get(each.phone or "")
        if each.email is not None:
            user = by_email.get(each.email)
        if each.wallet_id is not None:
            found[each] = WalletId(each.wallet_id)
        elif user is not None:
            found[each] = user.wallet_id
    return found


async def find_recipient(identity: IdentityService, recipient: Recipient) -> WalletId:
    """Return whose wallet is meant. A wallet's id is taken as it is: it need not exist.

    Raises:
        RecipientNotFound: Nobody has that address.
    """
    found = await find_recipients(identity, (recipient,))
    if recipient not in found:
        raise RecipientNotFound
    return found[recipient]
