"""The story: a buyer adds funds, pays a seller, is refused, retries; the seller withdraws."""

import httpx2
from rich.console import Console

from guilder.cli.demo.answers import Transaction
from guilder.cli.demo.browser import press
from guilder.cli.demo.failure import StoryStopped
from guilder.cli.demo.person import Person, problem_of, wait_until
from guilder.cli.demo.scorecard import Scorecard, print_statement, written

FUNDS = 10_000
PRICE = 2_500
TOO_MUCH = 50_000
WITHDRAWN = 1_000
RETURNED = 500
"""Minor units of US dollars, like the others."""

TRANSFERS = 6
"""Payment, transfer, payout and its end, the failing payout and its return."""
LEFT = FUNDS - WITHDRAWN
"""Minor units that both wallets have together at the end; what the gateway owes us is as much."""

_TIMEOUT = httpx2.Timeout(15.0, connect=5.0)


def play(url: str, console: Console, *, run: str) -> Scorecard:
    """Play the whole story against the Guilder at `url`.

    Args:
        url: Where it listens, such as `http://127.0.0.1:8000`.
        run: Makes this story's people and keys differ from those of any other.

    Raises:
        StoryStopped: A step could not be made at all.
    """
    card = Scorecard(console)
    # A proxy from the environment has no business between a story and its own machine.
    with httpx2.Client(
        base_url=url, timeout=_TIMEOUT, trust_env=False, follow_redirects=True
    ) as http:
        buyer = Person(http, role="Buyer", run=run)
        seller = Person(http, role="Seller", run=run)
        try:
            _meet(card, buyer, seller)
            _add_funds(card, http, buyer)
            _pay(card, buyer, seller)
            _withdraw(card, seller)
            _read_history(card, buyer, seller)
        except httpx2.HTTPError as error:
            message = f"{url} does not answer: {error}"
            raise StoryStopped(message) from error
    return card


def _meet(card: Scorecard, buyer: Person, seller: Person) -> None:
    card.tell("Two people register and sign in")
    for person in (buyer, seller):
        user = person.register()
        session = person.sign_in()
        card.expect(f"{person.role} is signed in as", expected=user.id, actual=session.user.id)
        card.expect_minor(f"{person.role} starts with", expected=0, actual=person.wallet().balance)


def _add_funds(card: Scorecard, browser: httpx2.Client, buyer: Person) -> None:
    card.tell(f"The buyer adds {written(FUNDS)} on the gateway's checkout page")
    payment = buyer.add_funds(amount_minor=FUNDS)
    card.expect("the payment is", expected="pending", actual=payment.status)
    card.expect_minor("credited before paying", expected=0, actual=buyer.wallet().balance)
    if payment.checkout_url is None:
        message = "The payment has no checkout page."
        raise StoryStopped(message)
    press(browser, payment.checkout_url, "Pay")
    payment = wait_until(
        lambda: buyer.payment(payment.payment_id), lambda seen: seen.status != "pending"
    )
    card.expect("after the signed webhook it is", expected="captured", actual=payment.status)
    _expect_balance(card, buyer, FUNDS)


def _pay(card: Scorecard, buyer: Person, seller: Person) -> None:
    card.tell(f"The buyer sends {written(PRICE)} to the seller's e-mail address")
    key = buyer.new_key()
    first = buyer.transfer(to=seller.email, amount_minor=PRICE, key=key)
    card.expect("the answer is", expected=201, actual=first.status_code)
    _expect_balance(card, buyer, FUNDS - PRICE)
    _expect_balance(card, seller, PRICE)

    card.tell(f"The buyer tries to send {written(TOO_MUCH)}, which is not there")
    refused = buyer.transfer(to=seller.email, amount_minor=TOO_MUCH)
    _expect_problem(card, refused, status=402, code="insufficient_funds")

    card.tell("The buyer's telephone lost the first answer and sends the same request again")
    again = buyer.transfer(to=seller.email, amount_minor=PRICE, key=key)
    card.expect("the same bytes", expected=True, actual=again.content == first.content)
    replayed = again.headers.get("Idempotent-Replayed")
    card.expect("Idempotent-Replayed", expected="true", actual=replayed)

    card.tell("The same key with another amount")
    reused = buyer.transfer(to=seller.email, amount_minor=PRICE + 1, key=key)
    _expect_problem(card, reused, status=422, code="idempotency_key_reused")
    _expect_balance(card, buyer, FUNDS - PRICE)
    _expect_balance(card, seller, PRICE)


def _withdraw(card: Scorecard, seller: Person) -> None:
    card.tell(f"The seller withdraws {written(WITHDRAWN)} to a bank that pays")
    _expect_payout(card, seller, amount_minor=WITHDRAWN, bank="bank_ok", ends="paid")
    _expect_balance(card, seller, PRICE - WITHDRAWN)

    card.tell(f"The seller withdraws {written(RETURNED)} to a bank that refuses; it comes back")
    _expect_payout(card, seller, amount_minor=RETURNED, bank="bank_fail", ends="failed")
    wait_until(seller.wallet, lambda wallet: wallet.balance == PRICE - WITHDRAWN)
    _expect_balance(card, seller, PRICE - WITHDRAWN)


def _read_history(card: Scorecard, buyer: Person, seller: Person) -> None:
    card.tell("Both read their history, page by page")
    for person, limit, signed in (
        (buyer, 1, [FUNDS, -PRICE]),
        (seller, 2, [PRICE, -WITHDRAWN, -RETURNED, RETURNED]),
    ):
        lines = _history(person, limit=limit)
        print_statement(card.console, f"the {person.role.lower()}", lines)
        card.expect("the lines", expected=signed, actual=[line.signed for line in lines])
        total = sum(line.signed for line in lines)
        card.expect_minor("their sum", expected=person.wallet().balance, actual=total)


def _history(person: Person, *, limit: int) -> list[Transaction]:
    page = person.transactions(limit=limit)
    lines = page.data
    while page.has_more:
        page = person.transactions(limit=limit, cursor=page.next_cursor)
        lines += page.data
    return lines[::-1]


def _expect_balance(card: Scorecard, person: Person, amount_minor: int) -> None:
    label = f"{person.role} has"
    card.expect_minor(label, expected=amount_minor, actual=person.wallet().balance)


def _expect_problem(card: Scorecard, answer: httpx2.Response, *, status: int, code: str) -> None:
    card.expect("the answer is", expected=status, actual=answer.status_code)
    card.expect("its code", expected=code, actual=problem_of(answer).code)


def _expect_payout(
    card: Scorecard, person: Person, *, amount_minor: int, bank: str, ends: str
) -> None:
    payout = person.withdraw(amount_minor=amount_minor, bank=bank)
    ended = wait_until(
        lambda: person.payout(payout.payout_id), lambda seen: seen.status in {"paid", "failed"}
    )
    card.expect("the payout is", expected=ends, actual=ended.status)
