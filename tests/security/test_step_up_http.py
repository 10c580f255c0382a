"""Step-up over HTTP: each way out of a wallet asks, and so does what protects the account."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from guilder.identity.factors.rules import STEP_S
from guilder.identity.factors.totp import code_at
from guilder.kernel.clock import utc_now
from tests.support.http import PASSWORD, Person, Running
from tests.support.shared_guilder import Start
from tests.support.spenders import balance, order, spender

MUCH = 10_000


class TestHttp:
    """The money routes ask, and move nothing before they are answered."""

    @pytest.fixture
    async def guilder(self, start: Start) -> AsyncIterator[Running]:
        async with start(step_up_transfer_minor={"USD": MUCH}, step_up_payouts=True) as running:
            yield running

    @staticmethod
    async def post(
        person: Person, path: str, body: object, *, key: str, approval: str | None = None
    ) -> Any:
        headers = person.headers | {"Idempotency-Key": key}
        if approval:
            headers["Step-Up"] = approval
        return await person.client.post(path, json=body, headers=headers)

    async def confirm(self, person: Person, answer: Any) -> str:
        """Give the password for what was refused."""
        assert answer.status_code == 403, answer.text
        assert answer.json()["code"] == "step_up_required"
        challenge = answer.json()["challenge"]
        assert challenge["methods"] == ["password"]
        proof = {"method": "password", "code": PASSWORD}
        path = f"/v1/auth/challenges/{challenge['id']}/verify"
        assert (await person.client.post(path, json=proof)).status_code == 410
        made = await person.post(path, proof)
        assert made.status_code == 200, made.text
        assert made.json()["status"] == "approved"
        found: str = made.json()["challenge_id"]
        return found

    async def test_each_way_out_of_a_wallet_asks(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 10 * MUCH), await spender(guilder)
        asked = await payee.post(
            "/v1/payment-requests", {"amount": MUCH + 1, "currency": "USD", "description": "x"}
        )
        assert asked.status_code == 201, asked.text
        much = order(payee, MUCH + 1)
        start_at = (utc_now() + timedelta(days=1)).isoformat()
        half = {**order(payee, MUCH // 2 + 1)}
        items = [{**half, "key": "1"}, {**half, "key": "2"}]
        ways: list[tuple[str, object]] = [
            ("/v1/wallet/transfer", much),
            ("/wallet/transfer", much),
            ("/v1/transfers", much),
            ("/v1/transfers/batch", {"mode": "independent", "items": items}),
            ("/v1/holds", much),
            ("/v1/schedules", {**much, "start_at": start_at}),
            (f"/v1/payment-requests/{asked.json()['payment_request_id']}/pay", None),
            (
                "/v1/wallet/withdraw",
                {
                    "amount": 1,
                    "currency": "USD",
                    "destination": {"type": "bank_account", "token": "ba_ok"},
                },
            ),
        ]
        for path, body in ways:
            key = secrets.token_hex(8)
            refused = await self.post(payer, path, body, key=key)
            assert refused.status_code == 403, (path, refused.text)
            approval = await self.confirm(payer, refused)
            done = await self.post(payer, path, body, key=key, approval=approval)
            assert done.status_code in (200, 201), (path, done.text)
            # A lost answer: the same request finds out, with the approval and without it.
            for again in (approval, None):
                repeated = await self.post(payer, path, body, key=key, approval=again)
                assert repeated.text == done.text, path
                assert repeated.headers["Idempotent-Replayed"] == "true", path
            reused = await self.post(payer, path, body, key=secrets.token_hex(8), approval=approval)
            if not path.endswith(("/pay", "/batch")):  # They say themselves what they have done.
                assert reused.json()["code"] == "step_up_refused", (path, reused.text)

    async def test_asvs_7_5_3_approve_one_run_another(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 10 * MUCH), await spender(guilder)
        path, before = "/v1/transfers", await balance(payer)
        refused = await self.post(payer, path, order(payee, MUCH + 1), key="k")
        approval = await self.confirm(payer, refused)
        other = order(await spender(guilder), MUCH + 1)
        for body in (other, order(payee, MUCH + 1)):
            got = await self.post(payer, path, body, key="k", approval=approval)
            assert (got.status_code, got.json()["code"]) == (403, "step_up_refused")
        assert await balance(payer) == before

    async def test_what_is_little_or_only_tried_out_asks_nothing(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 10 * MUCH), await spender(guilder)
        little = await payer.post("/v1/wallet/transfer", order(payee, MUCH))
        assert little.status_code == 201, little.text
        tried = await payer.post("/v1/transfers?dry_run=true", order(payee, MUCH + 1))
        assert tried.status_code == 200, tried.text

    async def test_the_same_payee_under_another_name_is_the_same(self, guilder: Running) -> None:
        payer, payee = await spender(guilder, 10 * MUCH), await spender(guilder)
        by_wallet = order(payee, MUCH + 1)
        by_email = {**by_wallet, "to": {"email": payee.user["email"]}}
        refused = await self.post(payer, "/v1/transfers", by_email, key="a")
        approval = await self.confirm(payer, refused)
        done = await self.post(payer, "/v1/transfers", by_wallet, key="b", approval=approval)
        assert done.status_code == 201, done.text


class TestSetUp:
    """An app from the first to the last step, as a person sees it."""

    async def test_from_the_first_code_to_the_last(self, guilder: Running) -> None:
        person = await guilder.person()
        refused = await person.post("/v1/factors/totp", None)
        approval = await TestHttp().confirm(person, refused)
        headers = person.headers | {"Step-Up": approval}
        made = await person.client.post("/v1/factors/totp", headers=headers)
        assert made.status_code == 201, made.text
        assert made.headers["Cache-Control"] == "no-store"
        step = int(utc_now().timestamp()) // STEP_S
        secret = made.json()["secret"]
        codes = [code_at(secret, step + each) for each in (-1, 0, 1)]
        confirmed = await person.post("/v1/factors/totp/confirm", {"code": codes[0]})
        assert confirmed.status_code == 200, confirmed.text
        recovery = confirmed.json()["recovery_codes"]
        login = {"email": person.user["email"], "password": PASSWORD}
        asked_for = await person.client.post("/v1/login", json=login)
        assert asked_for.status_code == 401
        assert asked_for.json()["code"] == "second_factor_required"
        path = f"/v1/auth/challenges/{asked_for.json()['challenge']['id']}/verify"
        given = {"method": "totp", "code": codes[1], "remember_device": True}
        signed_in = await person.client.post(path, json=given)
        assert signed_in.status_code == 200, signed_in.text
        here = Person(person.client, person.user, signed_in.json()["access_token"])
        shown = (await here.get("/v1/factors")).json()
        assert (shown["methods"], shown["recovery_codes_left"]) == (["totp"], 10)
        (device,) = shown["trusted_devices"]
        path = f"/v1/factors/devices/{device['id']}"
        assert (await here.client.delete(path, headers=here.headers)).status_code == 204
        assert (await here.client.delete(path, headers=here.headers)).status_code == 404
        # Removing it takes a fresh factor; the password is none.
        asked_for = await here.client.delete("/v1/factors/totp", headers=here.headers)
        challenge = asked_for.json()["challenge"]
        assert challenge["methods"] == ["totp", "recovery_code"]
        path = f"/v1/auth/challenges/{challenge['id']}/verify"
        refused = await here.post(path, {"method": "password", "code": PASSWORD})
        assert refused.json()["code"] == "factor_wrong"
        given = {"method": "recovery_code", "code": recovery[3]}
        assert (await here.post(path, given)).status_code == 200
        headers = here.headers | {"Step-Up": challenge["id"]}
        removed = await here.client.delete("/v1/factors/totp", headers=headers)
        assert removed.status_code == 204, removed.text
        assert (await here.client.post("/v1/login", json=login)).status_code == 200

    async def test_asvs_7_5_1_a_new_address_and_a_new_password_ask(self, guilder: Running) -> None:
        person = await guilder.person()
        path, body = "/v1/users/me/email", {"email": f"new-{secrets.token_hex(4)}@example.com"}
        refused = await person.post(path, body)
        approval = await TestHttp().confirm(person, refused)
        headers = person.headers | {"Step-Up": approval}
        elsewhere = {"email": "thief@example.com"}
        got = await person.client.post(path, json=elsewhere, headers=headers)
        assert got.json()["code"] == "step_up_refused"
        approval = await TestHttp().confirm(person, await person.post(path, body))
        headers = person.headers | {"Step-Up": approval}
        got = await person.client.post(path, json=body, headers=headers)
        assert (got.status_code, got.json()) == (202, {"expires_in": 600})
        wrong = await person.post(f"{path}/confirm", {"code": "00000000"})
        assert wrong.json()["code"] == "code_wrong"
        # Without a second factor the password in the body will do; with one it will not.
        change = {"current_password": PASSWORD, "new_password": PASSWORD + " again"}
        approval = await TestHttp().confirm(person, await person.post("/v1/factors/totp", None))
        headers = person.headers | {"Step-Up": approval}
        made = await person.client.post("/v1/factors/totp", headers=headers)
        code = code_at(made.json()["secret"], int(utc_now().timestamp()) // STEP_S)
        confirmed = await person.post("/v1/factors/totp/confirm", {"code": code})
        assert confirmed.status_code == 200, confirmed.text
        refused = await person.post("/v1/users/me/password", change)
        assert refused.json()["code"] == "step_up_required"
        assert "password" not in refused.json()["challenge"]["methods"]
