"""One-time codes and links against a real database: once, for one purpose, for a short time."""

import asyncio
import hmac
import re
from typing import Any

import pytest

from guilder.identity import codes as codes_module
from guilder.identity.codes import ATTEMPTS_MAX, Links, OneTimeCodes
from guilder.identity.errors import CodeExpired, CodeWrong, LinkInvalid
from guilder.identity.housekeeping import Housekeeping
from guilder.identity.models import MODELS, MailLink, OneTimeCode, SpentCode
from guilder.kernel.errors import InvariantViolation, Unavailable
from guilder.storage.base import Storage
from guilder.storage.errors import VersionConflict
from tests.support.identity import HandClock

KEY = b"a key for tests, of 32 bytes or so"
PURPOSE, SUBJECT = "sign_in", "payer"


@pytest.fixture
async def codes(storage: Storage, clock: HandClock) -> OneTimeCodes:
    await storage.migrate(MODELS)
    return OneTimeCodes(storage, clock=clock, key=KEY)


@pytest.fixture
async def links(storage: Storage, clock: HandClock) -> Links:
    await storage.migrate(MODELS)
    return Links(storage, clock=clock, key=KEY)


async def issued(codes: OneTimeCodes, *, purpose: str = PURPOSE, subject: str = SUBJECT) -> str:
    return await codes.issue(purpose=purpose, subject=subject)


async def outcome(
    codes: OneTimeCodes, code: str, *, purpose: str = PURPOSE, subject: str = SUBJECT
) -> type[Exception] | None:
    """Redeem a code; return the error."""
    try:
        await codes.redeem(purpose=purpose, subject=subject, code=code)
    except (CodeWrong, CodeExpired) as error:
        return type(error)
    return None


def another(code: str) -> str:
    """Return a code that is not this one."""
    return f"{(int(code) + 1) % 10**8:08}"


async def test_asvs_6_5_5_a_code_has_eight_digits_and_ten_minutes(
    codes: OneTimeCodes, clock: HandClock
) -> None:
    code = await issued(codes)
    assert re.fullmatch(r"[0-9]{8}", code)
    clock.move(minutes=10, milliseconds=-1)
    assert await outcome(codes, code) is None
    with pytest.raises(InvariantViolation):
        await codes.issue(purpose=PURPOSE, subject=SUBJECT, ttl_s=601)


async def test_too_late_is_told_to_whoever_has_the_code(
    codes: OneTimeCodes, clock: HandClock
) -> None:
    code = await issued(codes)
    clock.move(minutes=10)
    assert await outcome(codes, another(code)) is CodeWrong
    assert await outcome(codes, code) is CodeExpired
    assert await outcome(codes, code) is CodeExpired


async def test_asvs_6_5_1_a_code_is_used_once(codes: OneTimeCodes) -> None:
    code = await issued(codes)
    assert await outcome(codes, code) is None
    assert await outcome(codes, code) is CodeWrong


@pytest.mark.parametrize("times", [2, 5])
async def test_asvs_6_5_1_once_also_in_a_race(codes: OneTimeCodes, times: int) -> None:
    code = await issued(codes)
    outcomes = await asyncio.gather(*(outcome(codes, code) for _ in range(times)))
    assert outcomes.count(None) == 1
    assert set(outcomes) == {None, CodeWrong}


async def test_people_write_codes_with_spaces(codes: OneTimeCodes) -> None:
    code = await issued(codes)
    assert await outcome(codes, f" {code[:4]}-{code[4:]} ") is None


@pytest.mark.parametrize("other", [{"purpose": "verify_email"}, {"subject": "payee"}], ids=str)
async def test_asvs_6_6_2_a_code_is_bound_to_purpose_and_subject(
    codes: OneTimeCodes, other: dict[str, str]
) -> None:
    code = await issued(codes)
    assert await outcome(codes, code, **other) is CodeWrong
    await issued(codes, **other)
    assert await outcome(codes, code, **other) is CodeWrong
    assert await outcome(codes, code) is None


async def test_the_newest_code_replaces_the_older(codes: OneTimeCodes) -> None:
    older = await issued(codes)
    newer = await issued(codes)
    assert older == newer or await outcome(codes, older) is CodeWrong
    assert await outcome(codes, newer) is None


async def test_codes_issued_at_once_leave_one_that_is_good(codes: OneTimeCodes) -> None:
    made = await asyncio.gather(*(issued(codes) for _ in range(4)))
    outcomes = [await outcome(codes, code) for code in made]
    assert outcomes.count(None) == 1


async def test_asvs_6_3_1_five_attempts_at_a_code(codes: OneTimeCodes) -> None:
    code = await issued(codes)
    for _ in range(ATTEMPTS_MAX):
        assert await outcome(codes, another(code)) is CodeWrong
    assert await outcome(codes, code) is CodeWrong
    assert await outcome(codes, await issued(codes)) is None


async def test_asvs_6_3_1_sixty_four_at_once_do_not_beat_the_counter(
    codes: OneTimeCodes, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = await issued(codes)
    compared = 0
    compare_digest = hmac.compare_digest

    def counted(one: str, other: str) -> bool:
        nonlocal compared
        compared += 1
        return bool(compare_digest(one, other))

    monkeypatch.setattr("guilder.identity.codes.hmac.compare_digest", counted)
    outcomes = await asyncio.gather(*(outcome(codes, another(code)) for _ in range(64)))
    assert set(outcomes) == {CodeWrong}
    assert compared == ATTEMPTS_MAX
    (stored,) = await storage.documents(OneTimeCode).page({}, limit=10)
    assert stored.attempts == ATTEMPTS_MAX


async def test_asvs_6_3_8_nobody_is_answered_and_counted_alike(
    codes: OneTimeCodes, storage: Storage
) -> None:
    for guess in ("", " ", "00000000", "\ud800", "x" * 1000, "12345678"):
        assert await outcome(codes, guess, subject="nobody") is CodeWrong
    (stored,) = await storage.documents(OneTimeCode).page({}, limit=10)
    assert stored.attempts == ATTEMPTS_MAX
    code = await issued(codes, subject="nobody")
    assert await outcome(codes, code, subject="nobody") is None


async def test_asvs_6_5_2_codes_are_stored_hashed(codes: OneTimeCodes, storage: Storage) -> None:
    code = await issued(codes)
    await codes.redeem(purpose=PURPOSE, subject=SUBJECT, code=code)
    stored = repr(
        [await storage.documents(each).page({}, limit=10) for each in (OneTimeCode, SpentCode)]
    )
    assert code not in stored
    assert SUBJECT not in stored
    other_key = OneTimeCodes(storage, clock=HandClock(), key=b"another")
    assert await outcome(other_key, code) is CodeWrong


async def test_a_transaction_that_fails_gives_the_code_back_and_not_the_attempt(
    codes: OneTimeCodes, storage: Storage
) -> None:
    code = await issued(codes)

    async def redeem_and_fail() -> None:
        async with storage.transaction() as transaction:
            await codes.redeem(purpose=PURPOSE, subject=SUBJECT, code=code, transaction=transaction)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await redeem_and_fail()
    (stored,) = await storage.documents(OneTimeCode).page({}, limit=10)
    assert stored.attempts == 1
    given = await codes.given(purpose=PURPOSE, subject=SUBJECT, code=code)
    async with storage.transaction() as transaction:
        await codes.spend(given, transaction=transaction)
    assert await outcome(codes, code) is CodeWrong


async def test_a_code_is_issued_with_what_needs_it_or_not_at_all(
    codes: OneTimeCodes, storage: Storage
) -> None:
    async def issue_and_fail() -> None:
        async with storage.transaction() as transaction:
            await codes.issue(purpose=PURPOSE, subject=SUBJECT, transaction=transaction)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await issue_and_fail()
    assert await storage.documents(OneTimeCode).page({}, limit=10) == []
    async with storage.transaction() as transaction:
        code = await codes.issue(purpose=PURPOSE, subject=SUBJECT, transaction=transaction)
    assert await outcome(codes, code) is None


async def test_whoever_loses_every_race_is_refused(
    codes: OneTimeCodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = await issued(codes)

    async def lose(*_: object) -> None:
        raise VersionConflict

    monkeypatch.setattr(codes_module, "_put", lose)
    assert await outcome(codes, code) is CodeWrong
    with pytest.raises(Unavailable):
        await issued(codes)


async def link(links: Links, *, subject: str = "user_1") -> str:
    return await links.issue(purpose="password_reset", subject=subject, ttl_s=3600)


async def test_asvs_11_5_1_a_link_has_256_bits_and_is_stored_hashed(
    links: Links, storage: Storage
) -> None:
    token = await link(links)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    assert token not in repr(await storage.documents(MailLink).page({}, limit=10))


async def test_asvs_6_5_1_a_link_is_used_once(
    links: Links, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await link(links)
    assert await links.subject_of(purpose="password_reset", token=token) == "user_1"
    everybody, found = asyncio.Barrier(8), links._found

    async def found_by_everybody(*where: Any) -> MailLink:
        stored = await found(*where)
        await everybody.wait()
        return stored

    with monkeypatch.context() as patched:
        patched.setattr(links, "_found", found_by_everybody)
        answers = await asyncio.gather(
            *(links.redeem(purpose="password_reset", token=token) for _ in range(8)),
            return_exceptions=True,
        )
    assert answers.count("user_1") == 1
    assert {type(each) for each in answers} == {str, LinkInvalid}
    async with storage.transaction() as transaction:
        with pytest.raises(LinkInvalid):
            await links.redeem(purpose="password_reset", token=token, transaction=transaction)


async def test_a_link_is_used_with_what_it_allows_or_not_at_all(
    links: Links, storage: Storage
) -> None:
    token = await link(links)

    async def redeem_and_fail() -> None:
        async with storage.transaction() as transaction:
            await links.redeem(purpose="password_reset", token=token, transaction=transaction)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await redeem_and_fail()
    assert await links.redeem(purpose="password_reset", token=token) == "user_1"


async def test_asvs_6_4_1_a_link_works_until_its_time_and_for_its_purpose(
    links: Links, clock: HandClock
) -> None:
    token = await link(links)
    for purpose, given in [
        ("verify_email", token),
        ("password_reset", token[:-1]),
        ("password_reset", ""),
        ("password_reset", "x" * 4096),
        ("password_reset", "\ud800"),
    ]:
        with pytest.raises(LinkInvalid):
            await links.redeem(purpose=purpose, token=given)
    clock.move(hours=1)
    with pytest.raises(LinkInvalid):
        await links.subject_of(purpose="password_reset", token=token)
    with pytest.raises(InvariantViolation):
        await links.issue(purpose="password_reset", subject="user_1", ttl_s=72 * 3600 + 1)


async def test_all_links_of_a_subject_end(links: Links) -> None:
    tokens = [await link(links) for _ in range(3)]
    other = await link(links, subject="user_2")
    await links.revoke(purpose="password_reset", subject="user_1")
    for token in tokens:
        with pytest.raises(LinkInvalid):
            await links.redeem(purpose="password_reset", token=token)
    assert await links.redeem(purpose="password_reset", token=other) == "user_2"


async def test_housekeeping_removes_what_is_over(
    codes: OneTimeCodes, links: Links, storage: Storage, clock: HandClock
) -> None:
    await codes.redeem(purpose=PURPOSE, subject=SUBJECT, code=await issued(codes))
    await link(links)
    models = (OneTimeCode, SpentCode, MailLink)
    keep = Housekeeping(storage=storage, clock=clock)
    clock.move(minutes=25)
    await keep.sweep()
    assert [len(await storage.documents(each).page({}, limit=9)) for each in models] == [1, 1, 1]
    clock.move(hours=1)
    await keep.sweep()
    assert [len(await storage.documents(each).page({}, limit=9)) for each in models] == [0, 0, 0]
