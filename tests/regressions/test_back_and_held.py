"""Faults others had with money that goes back, and money that is held."""

import asyncio

import pytest

from guilder.holds.service import Capture, HoldOrder, HoldService
from guilder.identity.models import User
from guilder.kernel.clock import utc_now
from guilder.kernel.ids import encode_id
from guilder.ledger.errors import OriginalNotFound, ReversalExceedsOriginal
from guilder.ledger.journal import Journal
from guilder.ledger.models import Verdict
from guilder.server_secrets import SecretMissing, load_secrets
from guilder.settings import Settings
from guilder.storage.records import TransferKind
from guilder.transfers.service import Reversal, Sent
from guilder.wallets.balances import balances_at
from guilder.wallets.recipients import Recipient
from tests.support.books import fingerprint, request, transfer_id
from tests.support.people import People, principal_of
from tests.support.postgres_books import created, open_funded, state
from tests.support.whole_book import whole

HOLD, CAPTURE, PARTIAL, RELEASE = list(TransferKind)[1:]


async def give_back(people: People, payee: User, sent: Sent, key: object) -> Sent:
    """Give the whole of a transfer back."""
    reversal = Reversal(
        transaction_id=encode_id("transfer", sent.transfer.id),
        amount_minor=None,
        description="",
        key=str(key),
        fingerprint=fingerprint("back"),
    )
    return await people.transfers.reverse(principal_of(payee), reversal)


async def test_r01_a_reversal_that_is_refused_moves_nothing(people: People) -> None:
    """blnkfinance/blnk#374: a second refund was answered 409 and moved the money back anyway."""
    payer, payee = await people.person(), await people.person()
    for user in (payer, payee):
        await people.fund(user, 100)
    sent = await people.send(payer, payee, 60)
    back = await give_back(people, payee, sent, 0)
    before = await whole(people.journal.book)
    for number in range(1, 5):
        with pytest.raises(ReversalExceedsOriginal):
            await give_back(people, payee, sent, number)
        # A child of the payment is no payment: it is not given back itself.
        with pytest.raises(OriginalNotFound):
            await give_back(people, payer, back, number)
        assert await whole(people.journal.book) == before
    assert [await people.available(user) for user in (payer, payee)] == [100, 100]


async def test_r02_reversals_at_once_are_one_and_whole(people: People) -> None:
    """blnkfinance/blnk ae33217: two refunds at once both paid; a leg was skipped in silence."""
    payer, payee = await people.person(), await people.person()
    for user in (payer, payee):
        await people.fund(user, 100)
    sent = await people.send(payer, payee, 60)
    found = await asyncio.gather(
        *(give_back(people, payee, sent, number) for number in range(64)), return_exceptions=True
    )
    kinds = sorted(type(each).__name__ for each in found)
    assert kinds == ["ReversalExceedsOriginal"] * 63 + ["Sent"]
    assert [await people.available(user) for user in (payer, payee)] == [100, 100]


def test_r02_production_does_not_start_with_a_warning() -> None:
    """blnkfinance/blnk ae33217: authentication was switched off, and the log said so."""
    with pytest.raises(SecretMissing, match="SIGNING_KEY"):
        load_secrets(Settings(environment="production"))


async def test_r03_a_capture_or_release_sent_again_has_its_legs_once(people: People) -> None:
    """blnkfinance/blnk bdd60fd: a capture that was retried doubled its legs."""
    payer, payee = await people.person(), await people.person()
    await people.fund(payer, 100)
    holds = HoldService(
        journal=people.journal,
        wallets=people.wallets,
        identity=people.identity,
        clock=utc_now,  # The books go by the database's time, and so a hold expires.
    )
    order = HoldOrder(
        amount_minor=60,
        currency="USD",
        recipient=Recipient(wallet_id=payee.wallet_id),
        description="",
        expires_at=None,
        key="hold",
        fingerprint=fingerprint("hold"),
    )
    made = [await holds.hold(principal_of(payer), order) for _ in range(2)]
    hold_id = encode_id("hold", made[0].transfer.id)
    capture = Capture(
        hold_id=hold_id,
        amount_minor=25,
        keeps_rest=True,
        key="capture",
        fingerprint=fingerprint("capture"),
    )
    taken = [await holds.capture(principal_of(payee), capture) for _ in range(3)]
    released = [await holds.release(principal_of(payee), hold_id) for _ in range(3)]
    for told in (made, taken, released):
        assert all(each.transfer == told[0].transfer for each in told)
        assert [each.is_replayed for each in told] == [False, True, True][: len(told)]
    assert [await people.available(user) for user in (payer, payee)] == [75, 25]
    journal = await people.journal.book.transfers_after(0, 100)
    assert [each.kind for each in journal[1:]] == [HOLD, PARTIAL, RELEASE]


async def test_r23_what_is_held_is_not_spent_and_a_refused_hold_holds_nothing(
    journal: Journal,
) -> None:
    """blnkfinance/blnk#181, #182: the balance check forgot holds; a rejected hold still held."""
    await open_funded(journal, payer=100, payee=0)
    created([await journal.post(request("payer", "payee", 70, kind=HOLD))])
    before = await whole(journal.book)
    for asked in (request("payer", "payee", 31), request("payer", "payee", 31, kind=HOLD)):
        assert (await journal.post(asked)).verdict is Verdict.INSUFFICIENT_FUNDS
        on_it = request("payer", "payee", 1, kind=CAPTURE, hold_id=asked.id)
        assert (await journal.post(on_it)).verdict is Verdict.HOLD_NOT_FOUND
    assert await whole(journal.book) == before
    created([await journal.post(request("payer", "payee", 30))])


async def test_r29_a_backdated_reversal_counts_at_once_and_rewrites_no_history(
    journal: Journal,
) -> None:
    """flash-oss/medici#117: voiding with the original's date left balances stale for two days."""
    await open_funded(journal, payer=100, payee=0)
    sale = request("payer", "payee", 40, id=transfer_id("sale"))
    sold = (await journal.post(sale)).transfer
    assert sold
    back = request("payee", "payer", 40, reverses_id=sale.id, effective_at=sold.effective_at)
    reversed_ = (await journal.post(back)).transfer
    assert reversed_
    assert reversed_.effective_at == sold.effective_at
    for at, left in ((sold.position - 1, 100), (sold.position, 60), (None, 100)):
        found = await balances_at(journal.book, "payer", at)  # type: ignore[arg-type]
        assert found.balances["USD"].posted == left
    assert (await state(journal, "payer")).posted == 100
