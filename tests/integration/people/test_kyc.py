"""Tiers: documents by reference, decided by operators and providers; the ledger counts."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from guilder.identity.models import User
from guilder.identity.roles import Role
from guilder.kernel.clock import utc_now
from guilder.kyc.errors import OwnDocument, TooManyDocuments
from guilder.kyc.models import KycDocument
from guilder.kyc.providers import Finding, SimulatedProvider
from guilder.kyc.rules import DocumentState
from guilder.notifications.models import Message
from guilder.schedules.models import Schedule
from tests.support.authorization_world import signed_in_with_factor
from tests.support.http import PASSWORD, Person, Running
from tests.support.late_money import fund
from tests.support.spenders import Json, at_once, code_of, order

PATH = "/v1/kyc/documents"
CALLBACK = "/v1/kyc/providers/simulator/callback"


async def operator(guilder: Running) -> Person:
    """Return somebody who may decide."""
    state, person = guilder.app.state, await guilder.person()
    users = state.storage.documents(User)
    user = await users.get(person.user["id"])
    changed = replace(user, role=Role.OPERATOR).with_rights_changed(utc_now())
    state.identity.rights_changed(await users.replace(changed))
    return await signed_in_with_factor(guilder, person)


async def submit(person: Person, kind: str = "passport", **more: Any) -> Json:
    body = {"kind": kind, "reference": f"check_{kind}", **more}
    made = await person.post(PATH, body)
    assert made.status_code == 201, made.text
    found: Json = made.json()
    return found


async def decide(by: Person, document: Json, state: str, reason: str | None = None) -> Any:
    path = f"/v1/admin/kyc/documents/{document['document_id']}/decide"
    return await by.post(path, {"state": state, "reason": reason})


async def tier(person: Person) -> str:
    return str((await person.get("/v1/kyc")).raise_for_status().json()["tier"])


async def send(person: Person, to: Person, amount: int) -> tuple[int, str]:
    sent = await person.post("/v1/transfers", order(to, amount, currency="CHF"))
    if sent.status_code == 201:
        return 201, ""
    assert code_of(sent) == (422, "limit_exceeded"), sent.text
    return 422, sent.json()["errors"][0]["code"]


async def rich(guilder: Running) -> tuple[Person, Person]:
    person, other = await guilder.person(), await guilder.person()
    await fund(guilder, person, 10_000, "CHF")
    return person, other


async def test_a_tier_decides_what_may_leave_and_changes_at_once(guilder: Running) -> None:
    staff = await operator(guilder)
    person, other = await rich(guilder)
    assert (await person.get("/v1/kyc")).json() == {
        "tier": "none",
        "limits": {"transfer": {"CHF": 100}, "daily": {"CHF": 150}, "monthly": {}},
        "documents": [],
    }
    assert await send(person, other, 101) == (422, "limit_tier_transfer")
    assert await send(person, other, 100) == (201, "")
    assert await send(person, other, 51) == (422, "limit_tier_daily")
    passport = await submit(person)
    assert await tier(person) == "none"
    assert (await decide(staff, passport, "approved")).status_code == 200
    assert await tier(person) == "basic"
    assert await send(person, other, 401) == (422, "limit_tier_daily"), "what was sent counts"
    assert await send(person, other, 400) == (201, "")
    bill = await submit(person, "proof_of_address")
    assert (await decide(staff, bill, "in_review")).status_code == 200
    assert await tier(person) == "basic"
    assert (await decide(staff, bill, "approved")).status_code == 200
    assert await tier(person) == "full"
    assert await send(person, other, 4_000) == (201, "")
    refused = await decide(staff, passport, "refused", "It was stolen.")
    assert refused.json()["reason"] == "It was stolen."
    assert await tier(person) == "none"
    assert await send(person, other, 1) == (422, "limit_tier_daily")


async def test_every_way_out_counts(guilder: Running) -> None:
    person, other = await rich(guilder)
    money = {"amount": 101, "currency": "CHF"}
    asked = (await other.post("/v1/payment-requests", money)).json()
    tries = {
        "/v1/holds": order(other, 101, currency="CHF"),
        "/v1/wallet/transfer": order(other, 101, currency="CHF"),
        "/v1/wallet/withdraw": {
            **money,
            "destination": {"type": "bank_account", "token": "bank_ok"},
        },
        f"/v1/payment-requests/{asked['payment_request_id']}/pay": None,
    }
    for path, body in tries.items():
        refused = await person.post(path, body)
        assert code_of(refused) == (422, "limit_exceeded"), (path, refused.text)
        assert refused.json()["errors"][0]["code"] == "limit_tier_transfer"
    batch = {"transfers": [{**order(other, 101, currency="CHF"), "idempotency_key": "one"}]}
    sent = await person.post("/v1/transfers/batch", batch)
    assert "limit_exceeded" in sent.text or sent.status_code == 422, sent.text


async def test_what_is_due_later_counts_too(guilder: Running) -> None:
    state = guilder.app.state
    person, other = await rich(guilder)
    later = (utc_now() + timedelta(hours=1)).isoformat()
    body = order(other, 101, currency="CHF", start_at=later)
    planned = (await person.post("/v1/schedules", body)).raise_for_status().json()
    schedules = state.storage.documents(Schedule)
    stored = await schedules.get(planned["schedule_id"])
    await schedules.replace(replace(stored, next_attempt_at=utc_now()))
    await state.schedules.post_due()
    assert (await schedules.get(stored.id)).attempts == 1
    accounts = await state.journal.book.accounts_of(person.user["wallet_id"])
    assert [each.posted for each in accounts] == [10_000]


async def test_all_at_once_they_stay_within_the_tier(guilder: Running) -> None:
    person, other = await rich(guilder)
    body = order(other, 10, currency="CHF")
    counted = await at_once(person.post("/v1/transfers", body) for _ in range(32))
    assert counted == {"201": 15, "limit_exceeded": 17}


async def test_two_decisions_at_once_both_count(guilder: Running) -> None:
    staff = await operator(guilder)
    for _ in range(2):
        person = await guilder.person()
        documents = [await submit(person), await submit(person, "proof_of_address")]
        answers = await asyncio.gather(*(decide(staff, each, "approved") for each in documents))
        assert [each.status_code for each in answers] == [200, 200]
        assert await tier(person) == "full"


async def test_what_is_handed_in_twice_is_there_once(guilder: Running) -> None:
    person, other = await guilder.person(), await guilder.person()
    first = await submit(person)
    assert await submit(person) == first
    assert (await submit(other))["document_id"] != first["document_id"]
    listed = (await person.get("/v1/kyc")).json()["documents"]
    assert listed == [first]
    assert (first["state"], first["provider"]) == ("submitted", "operator")
    made = await asyncio.gather(*(submit(person, reference="at_once") for _ in range(8)))
    assert len({each["document_id"] for each in made}) == 1


async def test_what_cannot_be_handed_in_is_refused(guilder: Running) -> None:
    person = await guilder.person()
    for body in (
        {"kind": "passport", "reference": "x", "provider": "nobody"},
        {"kind": "selfie", "reference": "x"},
        {"kind": "passport", "reference": "with blanks"},
        {"kind": "passport", "reference": ""},
        {"kind": "passport", "reference": "x", "tier": "full"},
        {"kind": "passport", "reference": "x", "state": "approved"},
        {"kind": "passport"},
    ):
        assert code_of(await person.post(PATH, body)) == (422, "invalid"), body
    assert (await person.get("/v1/kyc")).json()["documents"] == []


async def test_nobody_hands_in_without_end(
    guilder: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guilder.kyc.service.DOCUMENTS_MAX", 3)
    person = await guilder.person()
    for number in range(3):
        await submit(person, reference=f"check_{number}")
    refused = await person.post(PATH, {"kind": "passport", "reference": "one_more"})
    assert code_of(refused) == (409, TooManyDocuments.code)
    assert TooManyDocuments.code == "too_many_documents"
    again = await person.post(PATH, {"kind": "passport", "reference": "check_0"})
    assert again.status_code == 201


async def test_only_operators_decide_and_never_on_their_own(guilder: Running) -> None:
    person = await guilder.person()
    document = await submit(person)
    assert code_of(await decide(person, document, "approved")) == (403, "forbidden")
    assert code_of(await person.get("/v1/admin/kyc/documents")) == (403, "forbidden")
    staff = await operator(guilder)
    document_of_staff = replace(
        await guilder.app.state.storage.documents(KycDocument).get(document["document_id"]),
        id="kyc_document_01h455vb4pex5vsknk084sn02q",
        user_id=staff.user["id"],
    )
    await guilder.app.state.storage.documents(KycDocument).insert(document_of_staff)
    own = {"document_id": document_of_staff.id}
    assert code_of(await decide(staff, own, "in_review")) == (403, OwnDocument.code)
    assert OwnDocument.code == "own_document"
    await guilder.app.state.storage.documents(KycDocument).delete(document_of_staff.id)
    missing = {"document_id": "kyc_document_01h455vb4pex5vsknk084sn02r"}
    assert code_of(await decide(staff, missing, "approved")) == (404, "not_found")
    assert await tier(person) == "none"


async def test_a_document_is_decided_once(guilder: Running) -> None:
    staff, person = await operator(guilder), await guilder.person()
    document = await submit(person)
    assert (await decide(staff, document, "refused", "Too dark.")).status_code == 200
    assert (await decide(staff, document, "refused", "Again.")).json()["reason"] == "Too dark."
    assert code_of(await decide(staff, document, "approved")) == (409, "document_decided")
    (shown,) = (await person.get("/v1/kyc")).json()["documents"]
    assert (shown["state"], shown["reason"]) == ("refused", "Too dark.")


async def test_operators_see_what_waits_page_by_page(guilder: Running) -> None:
    staff, person = await operator(guilder), await guilder.person()
    mine = [(await submit(person, reference=f"page_{n}"))["document_id"] for n in range(3)]
    seen: list[str] = []
    path = "/v1/admin/kyc/documents?limit=20"
    cursor: str | None = None
    while True:
        page = (await staff.get(path + (f"&cursor={cursor}" if cursor else ""))).json()
        seen += [each["document_id"] for each in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [each for each in seen if each in mine] == mine
    assert len(seen) == len(set(seen))


class TestCallbacks:
    """A provider's word is taken if it is signed, and never undoes what was decided."""

    def provider(self, guilder: Running) -> SimulatedProvider:
        found = guilder.app.state.kyc._providers.pick("simulator")
        assert isinstance(found, SimulatedProvider)
        return found

    async def call(self, guilder: Running, document: Json, state: DocumentState) -> Any:
        finding = Finding(document_id=document["document_id"], state=state)
        headers, body = self.provider(guilder).signed(finding, now=utc_now())
        return await guilder.client.post(CALLBACK, content=body, headers=headers)

    async def test_a_signed_one_changes_the_tier(self, guilder: Running) -> None:
        person = await guilder.person()
        document = await submit(person, provider="simulator")
        answer = await self.call(guilder, document, DocumentState.APPROVED)
        assert answer.status_code == 200, answer.text
        assert await tier(person) == "basic"
        assert (await self.call(guilder, document, DocumentState.APPROVED)).status_code == 200

    async def test_a_forged_one_changes_nothing(self, guilder: Running) -> None:
        person = await guilder.person()
        document = await submit(person, provider="simulator")
        finding = Finding(document_id=document["document_id"], state=DocumentState.APPROVED)
        forger = SimulatedProvider(b"a guess at the secret, 32 bytes or more")
        headers, body = forger.signed(finding, now=utc_now())
        refused = await guilder.client.post(CALLBACK, content=body, headers=headers)
        assert code_of(refused) == (400, "kyc_callback_invalid")
        unsigned = await guilder.client.post(CALLBACK, content=body)
        assert code_of(unsigned) == (400, "kyc_callback_invalid")
        assert await tier(person) == "none"

    async def test_an_old_one_does_not_undo_an_operator(self, guilder: Running) -> None:
        staff, person = await operator(guilder), await guilder.person()
        document = await submit(person, provider="simulator")
        assert (await decide(staff, document, "refused")).status_code == 200
        late = await self.call(guilder, document, DocumentState.APPROVED)
        assert late.status_code == 200
        assert await tier(person) == "none"

    async def test_a_provider_decides_on_its_own_documents_only(self, guilder: Running) -> None:
        person = await guilder.person()
        document = await submit(person)
        refused = await self.call(guilder, document, DocumentState.APPROVED)
        assert code_of(refused) == (404, "not_found")
        nobody = await guilder.client.post("/v1/kyc/providers/nobody/callback", content=b"{}")
        assert code_of(nobody) == (404, "not_found")
        assert await tier(person) == "none"


async def told(guilder: Running, person: Person, *, least: int) -> list[tuple[str, str]]:
    """Wait for so many mails about decisions, and return what they say, in order."""
    mailbox = guilder.app.state.mailbox
    async with asyncio.timeout(10):
        while True:
            found = [
                each
                for each in reversed(await mailbox.letters())
                if each.to == person.user["email"] and each.template == "document_decided"
            ]
            if len(found) >= least:
                break
            await asyncio.sleep(0.02)
    assert not any("passport" in each.text or "stolen" in each.text for each in found)
    return [(each.values["outcome"], each.values["tier"]) for each in found]


async def test_the_owner_is_told_what_was_decided_and_neither_which_document_nor_why(
    guilder: Running,
) -> None:
    staff, person = await operator(guilder), await guilder.person()
    passport = await submit(person)
    for state, reason in (
        ("in_review", None),
        ("approved", None),
        ("approved", None),
        ("refused", "It was stolen."),
    ):
        assert (await decide(staff, passport, state, reason)).status_code == 200
    assert (await decide(staff, passport, "approved")).status_code == 409
    checked = await submit(person, provider="simulator")
    callbacks = TestCallbacks()
    await callbacks.call(guilder, checked, DocumentState.APPROVED)
    expected = [("approved", "basic"), ("refused", "none"), ("approved", "basic")]
    assert await told(guilder, person, least=3) == expected


async def test_a_decision_is_not_worth_an_sms(guilder: Running) -> None:
    staff = await operator(guilder)
    client, storage = guilder.client, guilder.app.state.storage
    who = {"email": "caller@example.com", "password": PASSWORD}
    body = {"name": "Caller", "phone": "+12025550177", **who}
    user = (await client.post("/v1/register", json=body)).raise_for_status().json()
    users = storage.documents(User)
    # The number is sure and the address is not, so messages go there.
    stored = await users.get(user["id"])
    await users.replace(replace(stored, phone_verified_at=utc_now()))
    signed_in = (await client.post("/v1/login", json=who)).raise_for_status().json()
    person = Person(client, user, signed_in["access_token"])
    assert (await decide(staff, await submit(person), "approved")).status_code == 200
    sent = await storage.documents(Message).page({}, limit=1000)
    about = {each.template for each in sent if each.user_id == user["id"]}
    assert "verify_email" in about
    assert "document_decided" not in about


async def test_references_are_sealed_and_decisions_recorded(guilder: Running) -> None:
    state, staff = guilder.app.state, await operator(guilder)
    person = await guilder.person()
    document = await submit(person, reference="readable_nowhere")
    await decide(staff, document, "refused", "readable nowhere either")
    stored = await state.storage.documents(KycDocument).get(document["document_id"])
    assert "readable" not in repr(stored)
    found = await state.storage.documents(KycDocument).get(document["document_id"])
    assert found.decided_by == staff.user["id"]


@pytest.mark.parametrize("asset", ["USD"])
async def test_other_currencies_are_free(guilder: Running, asset: str) -> None:
    person, other = await guilder.person(), await guilder.person()
    await fund(guilder, person, 10_000, asset)
    assert (await person.post("/v1/transfers", order(other, 10_000))).status_code == 201
