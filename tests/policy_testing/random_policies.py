"""Random packs as plain documents, with random callers and requests that come near to what they say."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from proxy.detectors import field_table
from tests.policy_testing.plain_campaigns import Sent
from tests.policy_testing.plain_conditions import EXPRESSIONS

START = datetime(2026, 3, 7, 23, 40, tzinfo=UTC).timestamp()  # a Saturday, so that both hour and day soon change
MOST = 100  # output tokens of an answer that nobody caps
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MODES = ("enforce", "enforce", "shadow", "off")
_SCOPES = ("key", "account", "tenant", "template", "cluster", "model", "global")
_DATES = ("2026-03-06", "2026-03-07", "2026-03-08")

# Every operator of every kind; values at which something changes, and some that nothing comes near to.
_COMPARED: dict[str, list[Any]] = {
    "request.model": [
        "large",
        {"in": "$models"},
        {"not_in": ["large", "Grand"]},
        {"contains": "ra"},
        {"in": ["Large"]},
    ],
    "request.stream": [True, False],
    "request.choices": [{"gte": 2}, {"in": [1, 3.0]}, {"lt": 1_000_000_000_000_000_000_000}, {"gt": 1, "lte": 2}, 2.0],
    "request.turns": [1, {"ne": 1}, {"gte": 1.5}, {"gt": -1e300}],
    "request.logprobs": [True],
    "request.temperature": [{"lt": 0.3}, {"lte": 0.3}, {"gt": 0.3}, 1, {"in": "$warm"}, {"gte": -0.0}],
    "request.logit_bias_keys": [{"has": "7"}, {"any_of": ["7", "8"]}, {"size_gte": 2}, {"any_of": "$models"}],
    "account.plan": ["free", {"ne": ""}, {"in": ["", "pro"]}],
    "account.tenant": [{"in": "$partners"}, {"not_in": "$partners"}, {"starts_with": "org-"}],
    "account.age_days": [{"lt": 9.5}, {"gte": 9.5}],
    "time.hour": ["23", {"ne": "23"}],
    "time.weekday": [{"in": ["sat", "sun"]}, "sun"],
    "content.trace_elicitation": [{"gte": 0.8}, {"gt": 0.8}],
    "content.identity_claim": [
        "größe",
        {"ne": ""},
        {"contains": "ß"},
        {"starts_with": "gr"},
        {"matches": "^g.*e$", "ne": "große"},
        {"in": ["GRÖSSE", ""]},
        {"not_in": "$models"},
    ],
    "content.encoded": [{"has": "base64"}],
}
_OF_ANSWERS = [{"answer.status": {"gte": 400}}, {"answer.output_tokens": {"gt": 20}}, {"answer.refused": True}]
_LADDER: list[dict[str, Any]] = [
    {"rung": "watch", "score": 10},
    {"rung": "strip", "score": 25, "do": [{"drop": ["logprobs"]}], "disclose": "header"},
    {"rung": "ask", "score": 30, "approval": "one", "do": [{"clamp": {"n": 1}}]},
    {"rung": "clamp", "score": 45, "do": [{"clamp": {"max_output_tokens": 40, "n": 2}}]},
    {"rung": "slow", "score": 60, "do": [{"pace": {"tokens_per_second": 20}}, {"drop": ["logprobs"]}]},
    {
        "rung": "block",
        "score": 95,
        "do": [{"reject": {"status": 403}}],
        "client": {"code": "paused", "message": "No."},
    },
]


def random_policy(rng: random.Random) -> dict[str, Any]:
    """Return a pack."""
    signals = {"asks": {"count": "requests", "per": "account", "window": "1m"}}
    signals |= {f"s{number}": _signal(rng) for number in range(rng.randint(1, 4))}
    rules = [_rule(rng, number, list(signals)) for number in range(rng.randint(2, 8))]
    ladder = [rung for rung in _LADDER if rng.random() < 0.8] or _LADDER
    return {
        "apiVersion": "stillgate/v1",
        "kind": "PolicyPack",
        "metadata": {"name": "random", "version": "1.0.0", "owner": "tests"},
        "defaults": {
            "mode": rng.choice(("enforce", "shadow")),
            "on_error": rng.choice(("skip", "treat_as_match")),
        },
        "lists": {"models": ["large", "7", "größe"], "partners": ["org-1"], "warm": [1, 1.7]},
        "quotas": [_quota(rng, number) for number in range(rng.randint(0, 3))],
        "signals": signals,
        "rules": rng.sample(rules, len(rules)),
        "campaigns": [_campaign(rng, number) for number in range(2)],
        "ladder": rng.sample(ladder, len(ladder)),
        "exemptions": [_exemption(rng, number, rules, ladder) for number in range(rng.randint(0, 2))],
    }


def random_campaigns(rng: random.Random) -> dict[str, Any]:
    """Return campaigns that were found before the first exchange, one for each entry."""
    return {
        f"c{number}": {
            "rule": f"campaign-{number}",
            "templates": [f"t{number}"],
            "began_days": rng.choice((1, 4)),
            **({"oldest_days": rng.choice((2, 30)), "youngest_days": 1} if rng.random() < 0.5 else {}),
            "shared": {"payment": ["card-1"]},
        }
        for number in range(2)
    }


def random_request(rng: random.Random, now: float) -> tuple[dict[str, Any], dict[str, Any], Sent]:
    """Return an account and a request as fixtures of tests, and what a policy is to see of them."""
    who = rng.randint(0, 4)
    account: dict[str, Any] = {
        "account": f"acme-{who}",
        "tenant": f"org-{who % 3}",
        "key": f"key-{who}-{rng.randint(0, 1)}",
        "plan": ("", "free", "pro", "free", "free")[who],
        "age_days": (0, 2, 9, 10, 400)[who],
        "attributes": {"payment": "card-1"} if who == 3 else {},
        "cluster": ("", "", "", "", "c0")[who],
    }
    claimed: dict[str, Any] = {
        name: rng.choice(values)
        for name, values in (
            ("content.trace_elicitation", (0.0, 0.8, 1.0)),
            ("content.identity_claim", ("", "größe", "acme")),
            ("content.encoded", ((), ("base64",), ("hex", "base64"))),
        )
        if rng.random() < 0.6
    }
    given: dict[str, Any] = {
        "model": rng.choice(("large", "grand")),
        "stream": rng.random() < 0.4,
        "n": rng.choice((None, 1, 2, 3)),
        "max_output_tokens": rng.choice((None, None, 5, 60)),
        "logprobs": rng.random() < 0.4,
        "logit_bias_keys": rng.sample(["7", "8", "9"], rng.randint(0, 3)),
        "temperature": rng.choice((None, 0, 0.3, 1.7)),
        "template": rng.choice(("", "", "t0", "t1")),
        "output_tokens": rng.choice((0, 3, 25)),
        "refused": rng.random() < 0.2,
    }
    request = {**{name: value for name, value in given.items() if value is not None}, "fields": claimed}
    sent = Sent(
        account["account"],
        account["tenant"],
        account["key"],
        {**field_table().defaults, **_fields(account, given, now), **claimed},
        most=given["max_output_tokens"] or MOST,
        written=given["output_tokens"],
        template=given["template"],
        cluster=account["cluster"],
        age_days=account["age_days"],
        payment=account["attributes"].get("payment", ""),
        refused=given["refused"],
    )
    return account, request, sent


def _fields(account: dict[str, Any], given: dict[str, Any], now: float) -> dict[str, Any]:
    """Return what detectors are to say of a request."""
    moment = datetime.fromtimestamp(now, UTC)
    return {
        "request.model": given["model"],
        "request.dialect": "openai.chat",
        "request.stream": given["stream"],
        "request.choices": given["n"] or 1,
        "request.max_output_tokens": given["max_output_tokens"] or 0,
        "request.turns": 1,
        "request.logprobs": given["logprobs"],
        "request.logit_bias_size": len(given["logit_bias_keys"]),
        "request.logit_bias_keys": tuple(given["logit_bias_keys"]),
        "request.temperature": 1.0 if given["temperature"] is None else float(given["temperature"]),
        "account.name": account["account"],
        "account.tenant": account["tenant"],
        "account.plan": account["plan"],
        "account.age_days": account["age_days"] + (now - START) / 86_400,
        "account.key": account["key"],
        "time.hour": f"{moment.hour:02}",
        "time.weekday": _WEEKDAYS[moment.weekday()],
    }


def _condition(rng: random.Random, signals: list[str], depth: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(rng.randint(1, 2)):
        kind = rng.random()
        if kind < 0.15 and depth < 3:
            found["not"] = _condition(rng, signals, depth + 1)
        elif kind < 0.4 and depth < 3:
            parts = [_condition(rng, signals, depth + 1) for _ in range(rng.randint(1, 4))]
            found[rng.choice(("any", "all"))] = parts
        elif kind < 0.6 and signals:
            number = rng.randint(1, 6)
            found[f"signals.{rng.choice(signals)}"] = rng.choice(({"gte": number}, {"lt": number}, number))
        else:
            name = rng.choice(list(_COMPARED))
            found[name] = rng.choice(_COMPARED[name])
    return found


def _signal(rng: random.Random) -> dict[str, Any]:
    fields = ("request.logit_bias_keys", "request.model", "account.name", "content.encoded", "content.identity_claim")
    count = rng.choice(("requests", "requests", f"distinct {rng.choice(fields)}"))
    signal: dict[str, Any] = {
        "count": count,
        "per": rng.choice(_SCOPES),
        "window": rng.choice(("15s", "1m", "1h", "1d")),
    }
    if rng.random() < 0.7:
        signal["where"] = rng.choice(_OF_ANSWERS) if rng.random() < 0.3 else _condition(rng, [])
    return signal


def _rule(rng: random.Random, number: int, signals: list[str]) -> dict[str, Any]:
    subjects = rng.sample(("account", "tenant", "template", "cluster"), rng.randint(1, 3))
    flag = {
        "name": rng.choice(("probing", "chatty", f"flag_{number}")),
        "on": subjects[0] if len(subjects) == 1 else subjects,
        "score": rng.randint(3, 60),
        "ttl": rng.choice(("5s", "1m", "2h")),
    }
    rule: dict[str, Any] = {"id": f"rule-{number}", "flag": flag}
    if rng.random() < 0.25:
        rule["when_cel"] = rng.choice(list(EXPRESSIONS))
    else:
        rule["when"] = _condition(rng, signals)
    optional = {
        "mode": rng.choice(_MODES),
        "on_error": rng.choice(("skip", "treat_as_match")),
        "reason": "{signals.asks} of {request.model}",
    }
    rule |= {key: value for key, value in optional.items() if rng.random() < 0.6}
    if rng.random() < 0.15:
        rule["expires"] = rng.choice(_DATES)
    return rule


def _quota(rng: random.Random, number: int) -> dict[str, Any]:
    limits: dict[tuple[str, str], dict[str, Any]] = {}
    for _ in range(rng.randint(1, 3)):
        measure, window = rng.choice(("requests", "output_tokens")), rng.choice(("15s", "1m", "1h"))
        most = rng.randint(2, 12) if measure == "requests" else rng.choice((90, 250, "0.3k", "1k"))
        limits[measure, window] = {"measure": measure, "max": most, "window": window, "exact": rng.random() < 0.3}
    return {
        "id": f"quota-{number}",
        "per": rng.choice(_SCOPES),
        "mode": rng.choice(_MODES),
        "limits": list(limits.values()),
    }


def _campaign(rng: random.Random, number: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": f"campaign-{number}",
        "mode": rng.choice(_MODES),
        "min_accounts": 2,
        "min_tenants": 1,
        "window": "7d",
        "min_confidence": 0.9,
        "flag": {
            "name": f"campaign_{number}",
            "on": rng.sample(("template", "cluster", "account"), rng.randint(1, 3)),
            "score": rng.randint(5, 40),
            "ttl": rng.choice(("1m", "2h")),
        },
    }
    contain = {"opened_within": rng.choice(("3d", "8d")), "sharing": ["payment"]}
    kept = {key: value for key, value in contain.items() if rng.random() < 0.6}
    if kept:
        entry["contain"] = kept
    return entry


def _exemption(rng: random.Random, number: int, rules: list[Any], ladder: list[Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": f"exemption-{number}",
        "match": _condition(rng, ["asks"]),
        "why": "tests",
        "owner": "tests",
        "expires": rng.choice(_DATES),
    }
    if rng.random() < 0.6:
        entry["rules"] = [rule["id"] for rule in rng.sample(rules, rng.randint(1, 2))]
    if "rules" not in entry or rng.random() < 0.5:
        entry["max_rung"] = rng.choice(ladder)["rung"]
    return entry
