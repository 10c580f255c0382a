"""The rows of the security table that apply to what Guilder is today, and what keeps each.

A row names requirements of OWASP ASVS 5.0.0; each has a test called `test_asvs_6_2_5_...` somewhere
under `tests/`, or one for several in a row, `test_asvs_3_3_1_to_4_...`. A row of another source has
`test_row_72_...`. `test_rows.py` fails when one is lost, and when a test names what is not here.

Not here, because there is nothing yet that they are about: rows 10 (no CSV is written), 49 (one
tenant), 52 (proofs of possession are optional). Of others a part is still to come, and said there.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Args:
        about: What it asks for, and which part of it waits for a feature.
        asvs: Its requirements that are tested, such as `6.2.5`; without any the row's own number
            is in the test's name.
    """

    about: str
    asvs: tuple[str, ...] = ()


ROWS: Final[dict[int, Row]] = {
    1: Row("fields are checked by the server; amounts are whole", ("2.2.1", "2.2.2")),
    2: Row("no step is skipped", ("2.3.1",)),
    3: Row("limits hold in the transaction that spends", ("2.3.2",)),
    4: Row("one operation is one transaction", ("2.3.3",)),
    5: Row("what there is once is given once", ("2.3.4",)),
    6: Row("nobody decides about oneself; four eyes come with the console", ("2.3.5",)),
    7: Row("programs that try are slowed down", ("2.4.1",)),
    8: Row("no text becomes a part of a query", ("1.2.4",)),
    9: Row("no text becomes markup", ("1.2.1", "1.2.2", "1.2.3", "3.2.2")),
    11: Row(
        "only known places are called; addresses that users give come with webhooks",
        ("1.3.6", "15.3.2"),
    ),
    12: Row("no header of a mail is made up", ("1.3.11",)),
    13: Row("no pattern takes for ever", ("1.3.12",)),
    14: Row("numbers do not overflow, and only integers are integers", ("1.4.2", "15.3.5")),
    15: Row("JSON has one meaning", ("1.5.3",)),
    16: Row("cookies are guarded", ("3.3.1", "3.3.2", "3.3.3", "3.3.4")),
    17: Row("browsers are told to use TLS", ("3.4.1",)),
    18: Row("other origins get no leave", ("3.4.2",)),
    19: Row(
        "pages load nothing and are not framed; reports (3.4.7) come with the web wallet",
        ("3.4.3", "3.4.4", "3.4.5", "3.4.6", "3.4.8"),
    ),
    20: Row("no other page acts for a user", ("3.5.1", "3.5.2", "3.5.3")),
    21: Row("pages bring their own assets", ("3.6.1",)),
    22: Row("browsers are sent to listed places only", ("3.7.2",)),
    23: Row("only proxies of ours say where a request is from", ("4.1.3", "15.3.4")),
    24: Row("undeclared methods are refused", ("4.1.4",)),
    25: Row("messages from machines are signed; ours to others come later", ("4.1.5",)),
    26: Row("bodies have a size; there are no uploads yet", ("5.2.1",)),
    27: Row("passwords have a least length", ("6.2.1",)),
    28: Row("known and personal passwords are refused", ("6.2.4", "6.2.11", "6.2.12")),
    29: Row("passwords are taken as they are", ("6.2.5", "6.2.8", "6.2.9")),
    30: Row("changes of credentials ask again", ("6.2.3", "7.5.1")),
    31: Row("guessing is slowed down", ("6.3.1",)),
    32: Row("there are no default accounts", ("6.3.2",)),
    33: Row("second factors and passkeys are offered, and the console asks for one", ("6.3.3",)),
    34: Row("the user is told", ("6.3.5", "6.3.7")),
    35: Row("nothing tells who is known", ("6.3.8",)),
    36: Row("a mail is no second factor", ("6.3.6",)),
    37: Row("secrets of ours are random, and no operator sets a password", ("6.4.1", "6.4.6")),
    38: Row("codes are good once and for a while", ("6.5.1", "6.5.5")),
    39: Row("recovery codes are hashed", ("6.5.2",)),
    40: Row("codes by SMS are bound and limited", ("6.6.1", "6.6.2", "6.6.3")),
    41: Row("sessions are long random numbers, new each time", ("7.2.3", "7.2.4")),
    42: Row("sessions end by themselves", ("7.3.1", "7.3.2")),
    43: Row(
        "sessions are ended everywhere, by staff too; 7.4.4 comes with the web wallet",
        ("7.4.1", "7.4.2", "7.4.3", "7.4.5", "7.5.2"),
    ),
    44: Row("a fresh factor is for one payment", ("7.5.3",)),
    45: Row("what is not allowed is refused", ("8.2.1",)),
    46: Row("others' objects do not exist", ("8.2.2",)),
    47: Row("fields are listed, in and out", ("8.2.3", "15.3.3")),
    48: Row("changed rights count at once", ("8.3.2",)),
    50: Row(
        "access tokens are what we made, for us, now",
        ("9.1.1", "9.1.2", "9.1.3", "9.2.1", "9.2.2", "9.2.3"),
    ),
    51: Row("refresh tokens turn, and end", ("10.4.5", "10.4.8")),
    53: Row("secrets are compared in equal time", ("11.2.4",)),
    54: Row("what is sealed is bound to its place", ("11.3.2", "11.3.3", "11.3.4")),
    55: Row("passwords are hashed slowly", ("11.4.2",)),
    56: Row("tokens cannot be guessed", ("11.5.1",)),
    57: Row("TLS is used and verified", ("12.3.1", "12.3.2")),
    58: Row("calls end, and a server in trouble is left alone", ("13.1.3", "13.2.6", "16.5.2")),
    59: Row("the role that serves cannot rewrite", ("13.2.2",)),
    60: Row("secrets are kept and changed", ("13.3.1", "13.3.4")),
    61: Row("production shows no inside", ("13.4.2", "13.4.5")),
    62: Row("secrets stay out of addresses and caches", ("14.2.1", "14.3.1", "14.3.2")),
    63: Row("addresses are masked for staff", ("14.2.6",)),
    64: Row("there is no card number anywhere"),
    65: Row("dependencies are pinned; lists of parts come with releases", ("15.1.2",)),
    66: Row("nothing is checked first and used later", ("15.4.1", "15.4.2", "15.4.3")),
    67: Row("logs hold no secrets, and no forged lines", ("16.2.5", "16.4.1")),
    68: Row("what matters is recorded", ("16.3.1", "16.3.2", "16.3.3")),
    69: Row("the record cannot be rewritten unseen", ("16.4.2", "16.4.3")),
    70: Row("errors tell nothing, and guards fail closed", ("16.5.1", "16.5.3")),
    71: Row("what other companies answer is not believed"),
    72: Row("API keys are secrets with bounds"),
}
