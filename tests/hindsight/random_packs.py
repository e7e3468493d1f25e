"""Random packs over what the random traffic does: rules near their thresholds, every kind of rung, things that expire."""

from __future__ import annotations

import random
from typing import Any

import orjson

FIRST_DAY, SECOND_DAY = "2026-09-21", "2026-09-22"  # of the traffic, which begins on the first one
SIGNALS: dict[str, dict[str, Any]] = {
    "probes": {"count": "requests", "per": "account", "window": "1h", "where": {"request.logprobs": True}},
    "tokens": {"count": "distinct request.logit_bias_keys", "per": "tenant", "window": "1d"},
    "answers": {"count": "requests", "per": "account", "window": "1h", "where": {"answer.status": 200}},
    "named": {"count": "requests", "per": "global", "window": "1h", "where": {"account.name": "acme-1"}},
    "together": {"count": "requests", "per": "cluster", "window": "1d"},
}
RUNGS: tuple[dict[str, Any], ...] = (
    {"rung": "watch", "score": 15},
    {"rung": "strip", "score": 30, "do": [{"drop": ["logprobs", "logit_bias"]}], "disclose": "header"},
    {"rung": "shorten", "score": 50, "do": [{"clamp": {"max_output_tokens": 64, "n": 1}}]},
    {"rung": "slow", "score": 70, "do": [{"pace": {"tokens_per_second": 500}}, {"mark": {}}]},
    {"rung": "other", "score": 85, "do": [{"reroute": {"model": "small"}}, {"clamp": {"max_output_tokens": 32}}]},
    {"rung": "verify", "score": 95, "do": [{"challenge": {"url": "https://v.example", "verified_by": "identity"}}]},
    {
        "rung": "block",
        "score": 110,
        "do": [{"reject": {"status": 403}}],
        "client": {"code": "paused", "message": "Paused ({exchange_id})."},
    },
)


def _condition(rng: random.Random) -> dict[str, Any]:
    return rng.choice(
        (
            {"signals.probes": {"gte": rng.randint(1, 6)}},
            {"signals.tokens": {"gte": rng.randint(2, 12)}},
            {"signals.answers": {"gte": rng.randint(2, 9)}, "request.stream": True},
            {"signals.named": {"gte": rng.randint(1, 9)}, "request.turns": {"gte": 2}},
            {"signals.together": {"gte": rng.randint(1, 5)}},
            {"account.name": {"in": [f"acme-{rng.randint(0, 3)}", f"bee-{rng.randint(0, 3)}"]}},
            {"request.temperature": {"gt": rng.choice((0.5, 1, 1.5))}},
            {"any": [{"request.choices": {"gte": 3}}, {"not": {"request.tools": {"lt": 1}}}]},
            {"all": [{"account.age_days": {"lt": rng.choice((1, 30))}}, {"request.dialect": {"ne": "openai.chat"}}]},
            {"request.model": {"in": ["large", "new"]}, "account.new_model_day": True},
            {"content.foreign_signature": False, "request.logprobs": True},
            {"peer.failover": True},
            {"account.seconds_since_refusal": {"lt": 600}},
        )
    )


def _rule(rng: random.Random, number: int) -> dict[str, Any]:
    flag = {
        "name": rng.choice(("probing", "chatty", f"flag_{number}")),
        "on": rng.choice(("account", "tenant", ["account", "tenant"], "cluster", ["template", "account"])),
        "score": rng.randint(5, 40),
        "ttl": rng.choice(("2m", "1h", "1d")),
    }
    rule: dict[str, Any] = {"id": f"rule-{number}", "flag": flag, "mode": rng.choice(("enforce", "enforce", "shadow"))}
    if rng.random() < 0.2:
        # It fails where nothing was asked for.
        rule["when_cel"] = "100 / request.top_logprobs > 30"
    else:
        rule["when"] = _condition(rng)
    rule["on_error"] = rng.choice(("skip", "treat_as_match"))
    if rng.random() < 0.2:
        rule["expires"] = rng.choice((FIRST_DAY, SECOND_DAY))
    if rng.random() < 0.5:
        rule["reason"] = "{signals.probes} probes of {request.model} at {request.temperature} on {time.weekday}"
    return rule


def _exemption(rng: random.Random, number: int, rules: int) -> dict[str, Any]:
    match = rng.choice(({"account.tenant": "acme"}, {"account.plan": "pro"}, {"request.stream": True}))
    entry: dict[str, Any] = {"id": f"exemption-{number}", "match": match, "why": "tests", "owner": "tests"}
    entry["expires"] = rng.choice((FIRST_DAY, SECOND_DAY))
    kind = rng.randrange(3)
    if kind != 1:
        entry["rules"] = [f"rule-{each}" for each in sorted(rng.sample(range(rules), 2))]
    if kind != 0:
        entry["max_rung"] = rng.choice(("watch", "strip", "shorten"))
    return entry


def random_pack(rng: random.Random, name: str) -> bytes:
    """Return the file of a pack."""
    rules = rng.randint(4, 9)
    ladder = [
        {**rung, "approval": rng.choice(("none", "none", "none", "one", "two"))} if "do" in rung else rung
        for rung in RUNGS
        if rng.random() < 0.7 or rung["rung"] in {"watch", "strip", "shorten"}
    ]
    limits = {
        "few": ("account", [{"measure": "requests", "max": rng.randint(4, 12), "window": "10m"}]),
        "tokens": ("tenant", [{"measure": "output_tokens", "max": 4000, "window": "1h", "exact": True}]),
        "soft": ("key", [{"measure": "requests", "max": 3, "window": "1h"}]),
    }
    pack = {
        "apiVersion": "stillgate/v1",
        "kind": "PolicyPack",
        "metadata": {"name": name, "version": "1.0.0", "owner": "tests"},
        "defaults": {"mode": "enforce"},
        "quotas": [
            {"id": key, "per": per, "mode": "shadow" if key == "soft" else "enforce", "limits": limit}
            for key, (per, limit) in limits.items()
        ],
        "signals": SIGNALS,
        "rules": [_rule(rng, number) for number in range(rules)],
        "campaigns": [
            {
                "id": "extraction",
                "mode": rng.choice(("enforce", "shadow")),
                "min_accounts": 2,
                "min_tenants": 1,
                "window": "7d",
                "min_confidence": 0.9,
                "flag": {"name": "campaign", "on": ["template", "cluster"], "score": rng.randint(10, 40), "ttl": "1d"},
                "contain": {"opened_within": "30d", "sharing": ["payment"]},
            }
        ],
        "ladder": ladder,
        "exemptions": [_exemption(rng, number, rules) for number in range(rng.randint(0, 3))],
    }
    return orjson.dumps(pack)
