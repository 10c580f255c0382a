"""`guilder demo`: the story, then the books, then one line: whether every number was right."""

import secrets
import signal
import time
from types import FrameType

import msgspec
from rich.console import Console

from guilder.cli.demo.answers import Verification
from guilder.cli.demo.database import own_database
from guilder.cli.demo.failure import StoryStopped
from guilder.cli.demo.scorecard import Scorecard
from guilder.cli.demo.server import ENDINGS, TemporaryGuilder
from guilder.cli.demo.story import LEFT, TRANSFERS, play


def run(console: Console, *, url: str | None) -> bool:
    """Play the story and tell whether every number was right.

    Args:
        url: A running Guilder to play against. None starts one and takes it down again.

    Raises:
        StoryStopped: It could not be played to the end.
    """
    started_s = time.monotonic()
    for ending in ENDINGS:
        signal.signal(ending, _leave_in_order)
    card = _elsewhere(console, url) if url else _on_its_own(console)
    took_s = time.monotonic() - started_s
    if card.failed:
        console.print(f"[bold red]{card.failed} numbers are off[/], {card.passed} are right.")
        return False
    console.print(f"[bold green]All {card.passed} numbers are right.[/] It took {took_s:.1f} s.")
    return True


def _elsewhere(console: Console, url: str) -> Scorecard:
    card = play(url.rstrip("/"), console, run=secrets.token_hex(4))
    console.print("The chain was not verified: run `guilder verify` where the database is.")
    return card


def _on_its_own(console: Console) -> Scorecard:
    with own_database() as settings, TemporaryGuilder(settings) as guilder:
        console.print(f"Starting a Guilder of its own in {guilder.directory}")
        with console.status("Starting its database"):
            guilder.start()
        console.print(f"It listens on {guilder.url}\n")
        try:
            card = play(guilder.url, console, run=secrets.token_hex(4))
        except StoryStopped as error:
            # Its log goes with its directory: what is in it has to be said now.
            message = f"{error}\n\nThe end of its log:\n{guilder.last_words()}"
            raise StoryStopped(message) from error
        with console.status("Stopping it, and verifying its books from the journal alone"):
            guilder.stop()
            _verify(card, guilder)
    return card


def _verify(card: Scorecard, guilder: TemporaryGuilder) -> None:
    card.tell("guilder verify: the hash chain, every balance, hold and total again")
    answer = guilder.verify()
    try:
        report = msgspec.json.decode(answer.stdout, type=Verification)
    except msgspec.MsgspecError as error:
        message = f"guilder verify failed:\n{answer.stdout}{answer.stderr}"
        raise StoryStopped(message) from error
    card.expect("the books are right", expected=True, actual=report.ok)
    card.expect("transfers in the chain", expected=TRANSFERS, actual=report.transfers)
    card.expect("the chain ends at position", expected=TRANSFERS, actual=report.position)
    card.expect("on accounts above zero", expected={"USD": LEFT}, actual=report.totals)


def _leave_in_order(number: int, _frame: FrameType | None) -> None:
    # Once: a second signal, as `timeout` sends it, would interrupt the tidying up.
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    # As an exception, so that the server is stopped and its directory removed on the way out.
    raise SystemExit(128 + number)
