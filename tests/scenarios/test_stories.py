"""Cases told in money, over real HTTP. Amounts are minor units of US dollars."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2

from guilder.cli.demo.browser import press
from guilder.cli.demo.person import Person, problem_of, wait_until

NewPerson = Callable[[str], Person]
Funded = Callable[[str, int], Person]


def test_a_declined_payment_credits_nothing(http: httpx2.Client, new_person: NewPerson) -> None:
    buyer = new_person("Buyer")
    payment = buyer.add_funds(amount_minor=5_000)
    assert payment.checkout_url is not None
    press(http, payment.checkout_url, "Decline")
    ended = wait_until(
        lambda: buyer.payment(payment.payment_id), lambda seen: seen.status != "pending"
    )
    assert ended.status == "failed"
    assert buyer.wallet().balance == 0
    assert buyer.transactions(limit=10).data == []


def test_an_unpaid_checkout_credits_nothing(http: httpx2.Client, new_person: NewPerson) -> None:
    buyer = new_person("Buyer")
    payment = buyer.add_funds(amount_minor=5_000)
    assert payment.checkout_url is not None
    assert http.get(payment.checkout_url).status_code == 200
    assert buyer.payment(payment.payment_id).status == "pending"
    assert buyer.wallet().balance == 0


def test_a_dinner_is_shared_and_nothing_is_lost(funded: Funded, new_person: NewPerson) -> None:
    """10.00 shared by three: 3.34, 3.33, 3.33."""
    host = new_person("Host")
    for role, share in (("FirstGuest", 334), ("SecondGuest", 333), ("ThirdGuest", 333)):
        guest = funded(role, 1_000)
        assert guest.transfer(to=host.email, amount_minor=share).status_code == 201
        assert guest.wallet().balance == 1_000 - share
    assert host.wallet().balance == 1_000


def test_a_refused_transfer_succeeds_under_its_own_key_once_there_is_money(
    funded: Funded, new_person: NewPerson
) -> None:
    payer, lender, payee = new_person("Payer"), funded("Lender", 700), new_person("Payee")
    key = payer.new_key()
    refused = payer.transfer(to=payee.email, amount_minor=700, key=key)
    assert (refused.status_code, problem_of(refused).code) == (402, "insufficient_funds")
    assert lender.transfer(to=payer.email, amount_minor=700).status_code == 201
    again = payer.transfer(to=payee.email, amount_minor=700, key=key)
    assert again.status_code == 201
    assert "Idempotent-Replayed" not in again.headers
    assert payee.wallet().balance == 700


def test_a_transfer_sent_five_times_moves_once(funded: Funded, new_person: NewPerson) -> None:
    payer, payee = funded("Payer", 1_000), new_person("Payee")
    key = payer.new_key()
    with ThreadPoolExecutor(5) as pool:
        answers = list(
            pool.map(lambda _: payer.transfer(to=payee.email, amount_minor=400, key=key), range(5))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert payer.wallet().balance == 600
    assert payee.wallet().balance == 400


def test_the_last_dollar_is_spent_once(funded: Funded, new_person: NewPerson) -> None:
    """Ten transfers of the whole balance at once: one goes through, nine are not covered."""
    payer, payee = funded("Payer", 100), new_person("Payee")
    with ThreadPoolExecutor(10) as pool:
        answers = list(
            pool.map(lambda _: payer.transfer(to=payee.email, amount_minor=100), range(10))
        )
    assert sorted(answer.status_code for answer in answers) == [201] + [402] * 9
    assert payer.wallet().balance == 0
    assert payee.wallet().balance == 100


def test_everybody_pays_one_merchant_at_once(funded: Funded, new_person: NewPerson) -> None:
    customer, merchant = funded("Customer", 3_200), new_person("Merchant")
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda _: customer.transfer(to=merchant.email, amount_minor=100), range(32))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert merchant.wallet().balance == 3_200
    history = merchant.transactions(limit=100).data
    after = [line.balance_after.posted for line in history if line.balance_after]
    assert after == [100 * line for line in range(32, 0, -1)]


def test_money_that_the_bank_refuses_comes_back(funded: Funded) -> None:
    seller = funded("Seller", 900)
    payout = seller.withdraw(amount_minor=900, bank="bank_fail")
    ended = wait_until(
        lambda: seller.payout(payout.payout_id), lambda seen: seen.status in {"paid", "failed"}
    )
    assert ended.status == "failed"
    wait_until(seller.wallet, lambda wallet: wallet.balance == 900)
    lines = seller.transactions(limit=10).data
    assert [line.signed for line in lines] == [900, -900, 900]


def test_a_withdrawal_cannot_be_spent_meanwhile(funded: Funded, new_person: NewPerson) -> None:
    seller, payee = funded("Seller", 900), new_person("Payee")
    payout = seller.withdraw(amount_minor=900, bank="bank_slow")
    assert seller.wallet().balance == 0
    refused = seller.transfer(to=payee.email, amount_minor=1)
    assert problem_of(refused).code == "insufficient_funds"
    assert seller.payout(payout.payout_id).status in {"requested", "sent"}


def test_money_for_nobody_stays(funded: Funded) -> None:
    payer = funded("Payer", 500)
    answer = payer.transfer(to="nobody-at-all@example.com", amount_minor=500)
    assert (answer.status_code, problem_of(answer).code) == (404, "recipient_not_found")
    assert payer.wallet().balance == 500


def test_nobody_pays_themselves(funded: Funded) -> None:
    payer = funded("Payer", 500)
    answer = payer.transfer(to=payer.email, amount_minor=100)
    assert (answer.status_code, problem_of(answer).code) == (422, "same_account")
    assert payer.wallet().balance == 500


def test_history_by_single_lines_is_the_history(funded: Funded, new_person: NewPerson) -> None:
    payer, payee = funded("Payer", 1_000), new_person("Payee")
    for amount in (10, 20, 30):
        payer.transfer(to=payee.email, amount_minor=amount)
    page = payer.transactions(limit=1)
    lines = page.data
    while page.has_more:
        # New lines on top must not shift the pages below.
        payer.transfer(to=payee.email, amount_minor=1)
        page = payer.transactions(limit=1, cursor=page.next_cursor)
        lines += page.data
    assert [line.signed for line in lines] == [-30, -20, -10, 1_000]
