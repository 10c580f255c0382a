"""API keys on the wire."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from guilder.api_keys import rules
from guilder.api_keys.models import ApiKey
from guilder.api_keys.rules import (
    ADDRESSES_MAX,
    BUDGETS_MAX,
    NAME_MAX,
    OVERLAP_MAX_S,
    REQUESTS_MAX,
    MoneyBudget,
    MoneyPer,
    RequestQuota,
    RequestsPer,
    UsageLimits,
)
from guilder.api_keys.values import Change, Shown, Use, Wanted
from guilder.identity.roles import GRANTABLE, Permission
from guilder.identity.rules import normal_name
from guilder.kernel.clock import rfc3339
from guilder.wallets.limits import resets_at
from guilder.wallets.schemas import Amount, CurrencyCode, GivenTime, KnownCurrency, Time

_KEY_ID = "key_01h455vb4pex5vsknk084sn02q"
_TEXT = "glk_test_5gVzUfQm0cJ8rWtX2nHkYb7LsAeD9pPxTi4oKqRv1Mw2u0Z3Bc"
_LIMITS: dict[str, Any] = {
    "requests": {"per": "minute", "count": 600},
    "money": [{"currency": "USD", "per": "day", "amount": 50000}],
}
_SCOPES = sorted(GRANTABLE)


def _name(text: str) -> str:
    name = normal_name(text)
    if name is None or len(name) > NAME_MAX:
        message = "Give a name that can be shown in one line."
        raise ValueError(message)
    return name


def _scope(text: str) -> str:
    if text not in GRANTABLE:
        message = f"A key may have these scopes: {', '.join(_SCOPES)}."
        raise ValueError(message)
    return text


def _network(text: str) -> str:
    return str(rules.network_of(text))


def _distinct(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))


ApiName = Annotated[
    str,
    Field(min_length=1, max_length=NAME_MAX, description="For its owner.", examples=["Web shop"]),
    AfterValidator(_name),
]
Scopes = Annotated[
    list[Annotated[str, AfterValidator(_scope), Field(json_schema_extra={"enum": [*_SCOPES]})]],
    AfterValidator(_distinct),
    Field(min_length=1, max_length=len(Permission), description="What it may do."),
]
Addresses = Annotated[
    list[Annotated[str, Field(min_length=2, max_length=49), AfterValidator(_network)]],
    AfterValidator(_distinct),
    Field(
        max_length=ADDRESSES_MAX,
        description="Addresses and CIDR blocks that it may be used from; IPv6 by /64 or larger. "
        "None: from anywhere.",
        examples=[["203.0.113.0/24", "2001:db8:1::/48"]],
    ),
]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RequestQuotaBody(_Strict):
    """How many requests it may send. All processes together never serve more."""

    per: Annotated[RequestsPer, Field(strict=False, description="Calendar time of UTC.")]
    count: Annotated[int, Field(ge=1, le=REQUESTS_MAX, examples=[600])]


class MoneyBudgetBody(_Strict):
    """How much it may move out of the wallet: by transfer, hold, payout, or in answer to requests.

    Checked in the same database transaction as the money.
    """

    currency: KnownCurrency
    per: Annotated[MoneyPer, Field(strict=False, description="Calendar time of UTC.")]
    amount: Amount


class UsageLimitsBody(_Strict):
    """What it may use. Where there is a budget, other currencies than its own cannot be spent."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LIMITS]})

    requests: RequestQuotaBody | None = None
    money: Annotated[list[MoneyBudgetBody], Field(max_length=BUDGETS_MAX)] = []

    @model_validator(mode="after")
    def _each_once(self) -> "UsageLimitsBody":
        if len({(each.currency, each.per) for each in self.money}) < len(self.money):
            message = "Give one budget for a currency and a time."
            raise ValueError(message)
        return self

    @property
    def limits(self) -> UsageLimits:
        """Return the limits as the services know them."""
        quota = None
        if self.requests is not None:
            quota = RequestQuota(per=self.requests.per, count=self.requests.count)
        money = tuple(
            MoneyBudget(currency=each.currency, per=each.per, amount_minor=each.amount)
            for each in self.money
        )
        return UsageLimits(requests=quota, money=money)

    @classmethod
    def of(cls, limits: UsageLimits) -> "UsageLimitsBody":
        """Return limits as they go over the wire."""
        quota = None
        if limits.requests is not None:
            quota = RequestQuotaBody(per=limits.requests.per, count=limits.requests.count)
        money = [
            MoneyBudgetBody(currency=each.currency, per=each.per, amount=each.amount_minor)
            for each in limits.money
        ]
        return cls(requests=quota, money=money)


class ApiKeyBody(_Strict):
    """A key that somebody wants."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "api_name": "Web shop",
                    "scopes": ["wallet:read", "transfers:write"],
                    "usage_limits": _LIMITS,
                    "addresses": ["203.0.113.0/24"],
                }
            ]
        }
    )

    api_name: ApiName
    scopes: Scopes
    usage_limits: UsageLimitsBody = UsageLimitsBody()
    addresses: Addresses = []
    expires_at: Annotated[
        GivenTime | None,
        Field(description="Within five years; a year from now if left out."),
    ] = None

    def wanted(self, idempotency_key: str | None) -> Wanted:
        """Return what is asked for."""
        return Wanted(
            name=self.api_name,
            scopes=tuple(Permission(each) for each in self.scopes),
            limits=self.usage_limits.limits,
            addresses=tuple(self.addresses),
            expires_at=self.expires_at,
            idempotency_key=idempotency_key,
        )


class ApiKeyChangeBody(_Strict):
    """What is to be different. What is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"api_name": "Old web shop", "usage_limits": _LIMITS}]}
    )

    api_name: ApiName | None = None
    usage_limits: UsageLimitsBody | None = None
    addresses: Addresses | None = None

    @property
    def change(self) -> Change:
        """Return what is to be changed."""
        return Change(
            name=self.api_name,
            limits=None if self.usage_limits is None else self.usage_limits.limits,
            addresses=None if self.addresses is None else tuple(self.addresses),
        )


class RotateBody(_Strict):
    """For how long the earlier secrets are still good."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_s": 86400}]})

    overlap_s: Annotated[
        int, Field(ge=0, le=OVERLAP_MAX_S, description="0 ends them at once.", examples=[86400])
    ] = 0


class PageQuery(BaseModel):
    """Which page. Other parameters are refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Annotated[str | None, Field(max_length=1024)] = None


class ApiKeyAnswer(BaseModel):
    """A key, without its secret."""

    api_key_id: str = Field(examples=[_KEY_ID])
    api_name: str = Field(examples=["Web shop"])
    key_prefix: str = Field(description="How it begins.", examples=[rules.visible(_TEXT)])
    scopes: list[str] = Field(examples=[["wallet:read", "transfers:write"]])
    usage_limits: UsageLimitsBody
    addresses: list[str] = Field(examples=[["203.0.113.0/24"]])
    expires_at: Time
    rotated_at: Time | None
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyAnswer":
        """Return a key as its owner sees it."""
        return cls(**_fields(key))


class NewApiKeyAnswer(ApiKeyAnswer):
    """A key with its secret, which is shown this once."""

    api_key: str = Field(description="Stored nowhere: keep it.", examples=[_TEXT])

    @classmethod
    def of_shown(cls, shown: Shown) -> "NewApiKeyAnswer":
        """Return a key that was just made or rotated."""
        return cls(**_fields(shown.key), api_key=shown.text)


class ApiKeysAnswer(BaseModel):
    """A page of keys, newest first."""

    data: list[ApiKeyAnswer]
    has_more: bool
    next_cursor: str | None


class QuotaUse(BaseModel):
    """How much of the request quota is used. Other processes are counted some seconds late."""

    per: RequestsPer
    count: int = Field(examples=[600])
    used: int = Field(examples=[17])
    resets_at: Time


class BudgetUse(BaseModel):
    """How much of a budget is used, exactly. A hold counts when it is made."""

    currency: CurrencyCode
    per: MoneyPer
    amount: Amount
    used: int = Field(description="Minor units.", examples=[1250])
    resets_at: Time | None


class DayUse(BaseModel):
    """The requests of a day."""

    date: str = Field(description="In UTC.", examples=["2026-01-31"])
    requests: int = Field(examples=[4711])


class UsageAnswer(BaseModel):
    """What a key has used."""

    api_key_id: str = Field(examples=[_KEY_ID])
    last_used_at: Time | None
    requests_total: int = Field(examples=[47110])
    requests: QuotaUse | None
    money: list[BudgetUse]
    days: list[DayUse] = Field(description="The last 31 on which it was used.")

    @classmethod
    def of(cls, use: Use) -> "UsageAnswer":
        """Return what a key has used as its owner sees it."""
        usage, now = use.usage, use.now
        quota, requests = use.key.limits.requests, None
        if quota is not None:
            is_now = usage is not None and usage.window == rules.window_of(quota.per, now)
            requests = QuotaUse(
                per=quota.per,
                count=quota.count,
                used=usage.window_requests if usage is not None and is_now else 0,
                resets_at=rfc3339(rules.window_ends(quota.per, now)),
            )
        days = {} if usage is None else usage.days
        return cls(
            api_key_id=use.key.id,
            last_used_at=None if usage is None else rfc3339(usage.last_used_at),
            requests_total=0 if usage is None else usage.requests,
            requests=requests,
            money=_budgets(use),
            days=[DayUse(date=day, requests=days[day]) for day in sorted(days)],
        )


def _budgets(use: Use) -> list[BudgetUse]:
    found = []
    limits = rules.budget_of(use.key.id, use.key.limits)
    for budget, limit, spent in zip(use.key.limits.money, limits, use.spent, strict=True):
        at = resets_at(limit.window, use.now)
        found.append(
            BudgetUse(
                currency=budget.currency,
                per=budget.per,
                amount=budget.amount_minor,
                used=spent,
                resets_at=None if at is None else rfc3339(at),
            )
        )
    return found


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "api_key_id": key.id,
        "api_name": key.name,
        "key_prefix": key.prefix,
        "scopes": [*key.scopes],
        "usage_limits": UsageLimitsBody.of(key.limits),
        "addresses": [*key.addresses],
        "expires_at": rfc3339(key.expires_at),
        "rotated_at": None if key.rotated_at is None else rfc3339(key.rotated_at),
        "created_at": rfc3339(key.created_at),
        "updated_at": rfc3339(key.updated_at),
    }
