"""What Guilder asks the SMS company for is what its own description allows; and whatever comes
back is believed no further than it can be read.
"""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from openapi_core import Config, OpenAPI
from openapi_core.contrib.werkzeug import WerkzeugOpenAPIRequest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from guilder.kernel.errors import InvariantViolation
from guilder.notifications.sending import Fate, Outcome
from guilder.notifications.sms import SmsConfig, SmsSender
from tests.support.messages import SAMPLES, letter
from tests.support.sms_company import (
    ACCOUNT,
    DROP,
    HANG,
    SID,
    TOKEN,
    Asked,
    refused,
    sms_company,
    taken,
)
from tests.tidy.source import ROOT

SPECIFICATION = ROOT.parent / "shared" / "vendor-specs" / "twilio_api_v2010.json"
NUMBER = "+12025550123"


@pytest.fixture(scope="module")
def described() -> OpenAPI:
    """The company's own description, of the one operation that is used."""
    if not SPECIFICATION.exists():
        pytest.skip("the vendor's OpenAPI file is not beside the repository")
    whole = json.loads(SPECIFICATION.read_text(encoding="utf-8"))
    path = "/2010-04-01/Accounts/{AccountSid}/Messages.json"
    whole["paths"] = {path: {**whole["paths"][path]}}
    whole["paths"][path].pop("get", None)
    return OpenAPI.from_dict(whole, config=Config(spec_validator_cls=None))


def as_openapi(asked: Asked) -> WerkzeugOpenAPIRequest:
    builder = EnvironBuilder(
        method=asked.method,
        path=asked.path,
        base_url="https://api.twilio.com",
        data=asked.body,
        # It came to loopback; what is judged is where it goes otherwise.
        headers=[each for each in asked.headers.items() if each[0] != "host"],
        content_type=asked.headers["content-type"],
    )
    return WerkzeugOpenAPIRequest(Request(builder.get_environ()))


def form(asked: Asked) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(asked.body.decode()).items()}


@pytest.mark.parametrize("sent_from", ["+12025550100", "Guilder", "MG" + "0a" * 16])
@pytest.mark.parametrize("template", ["verify_phone", "sign_in_code", "new_device"])
async def test_each_request_is_as_the_company_describes_it(
    described: OpenAPI, template: str, sent_from: str
) -> None:
    async with sms_company() as company:
        sender = SmsSender(company.config(sent_from=sent_from))
        given = letter(to=NUMBER, template=template, values=SAMPLES[template])
        assert await sender.send(given) == Outcome(Fate.SENT, reference=SID)
        await sender.aclose()
    (asked,) = company.asked
    described.validate_request(as_openapi(asked))
    assert asked.path == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    login = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    assert asked.headers["authorization"] == f"Basic {login}"
    named = "MessagingServiceSid" if sent_from.startswith("MG") else "From"
    assert form(asked) == {
        "To": NUMBER,
        named: sent_from,
        "Body": given.short,
        "ValidityPeriod": "600",
    }


def test_the_judge_refuses_what_is_wrong(described: OpenAPI) -> None:
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    login = {"authorization": "Basic " + base64.b64encode(b"a:b").decode()}
    right = b"To=%2B12025550123&From=Guilder&Body=x&ValidityPeriod=600"
    described.validate_request(as_openapi(Asked("POST", path, headers | login, right)))
    for wrong in (
        Asked("POST", path, headers | login, b"From=Guilder&Body=x"),
        Asked("POST", path, headers | login, right.replace(b"600", b"soon")),
        Asked("POST", path, headers, right),
        Asked("POST", path.replace("AC", "XX"), headers | login, right),
        Asked("POST", path.replace("Messages", "Letters"), headers | login, right),
        Asked("PUT", path, headers | login, right),
    ):
        with pytest.raises(Exception, match=r"."):
            described.validate_request(as_openapi(wrong))


@pytest.mark.parametrize(
    ("answer", "fate", "reason"),
    [
        (refused(21211), Fate.REFUSED, "sms_21211"),
        (refused(21610), Fate.REFUSED, "sms_21610"),
        ((400, b"<html>"), Fate.REFUSED, "http_400"),
        ((400, {"code": "21211; DROP"}), Fate.REFUSED, "http_400"),
        (refused(20003, 401), Fate.POSTPONED, "http_401"),
        (refused(20404, 404), Fate.POSTPONED, "http_404"),
        (refused(20429, 429), Fate.POSTPONED, "http_429"),
        ((302, b""), Fate.POSTPONED, "http_302"),
        ((200, b"<html>Please sign in to this network</html>"), Fate.UNCLEAR, "answer_unreadable"),
        ((201, b"\xff"), Fate.UNCLEAR, "answer_unreadable"),
        ((201, {"sid": "x\r\ny", "status": "queued"}), Fate.UNCLEAR, "answer_unreadable"),
        ((201, {"sid": SID, "status": "teapot"}), Fate.UNCLEAR, "answer_unreadable"),
        ((201, b"[" * 100_000), Fate.UNCLEAR, "answer_unreadable"),
        (taken(status="failed"), Fate.REFUSED, "sms_failed"),
        ((500, b""), Fate.UNCLEAR, "http_500"),
        ((503, b""), Fate.UNCLEAR, "http_503"),
        (DROP, Fate.UNCLEAR, "no_answer"),
    ],
)
async def test_row_71_each_answer_has_its_meaning(answer: Any, fate: Fate, reason: str) -> None:
    async with sms_company() as company:
        company.answers = [answer]
        sender = SmsSender(company.config())
        outcome = await sender.send(letter(to=NUMBER))
        await sender.aclose()
    assert (outcome.fate, outcome.reason) == (fate, reason)
    assert NUMBER not in repr(outcome)
    assert len(company.asked) == 1


@pytest.mark.parametrize("limit", ["read_timeout_s", "total_timeout_s"])
async def test_asvs_13_2_6_a_company_that_hangs_is_left(limit: str) -> None:
    async with sms_company() as company:
        company.answers = [HANG]
        sender = SmsSender(company.config(**{limit: 1}))
        async with asyncio.timeout(20):
            outcome = await sender.send(letter(to=NUMBER))
        await sender.aclose()
    assert (outcome.fate, outcome.reason) == (Fate.UNCLEAR, "no_answer")


async def test_nobody_listening_is_unreachable() -> None:
    async with sms_company() as company:
        config = company.config()
    sender = SmsSender(config)
    outcome = await sender.send(letter(to=NUMBER))
    await sender.aclose()
    assert (outcome.fate, outcome.reason) == (Fate.POSTPONED, "unreachable")


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("+4915123456789", "country_not_allowed"),
        ("+19002345678", "number_not_allowed"),
        ("+12025550123&From=%2B1", "number_invalid"),
        ("payer@example.com", "number_invalid"),
    ],
)
async def test_a_number_that_is_not_ours_to_write_to_costs_nothing(to: str, reason: str) -> None:
    async with sms_company() as company:
        sender = SmsSender(company.config(countries=frozenset({"US"})))
        assert sender.refusal(to) == reason
        assert await sender.send(letter(to=to)) == Outcome(Fate.REFUSED, reason)
        await sender.aclose()
    assert company.asked == []


def test_asvs_12_3_1_the_token_goes_nowhere_in_clear() -> None:
    with pytest.raises(InvariantViolation):
        SmsConfig(account=ACCOUNT, token=TOKEN, sent_from=NUMBER, api_url="http://sms.example.com")
    assert TOKEN not in repr(SmsConfig(account=ACCOUNT, token=TOKEN, sent_from=NUMBER))
