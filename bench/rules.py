"""What rules cost: an exchange judged by 100 declarative rules and by 20 expressions, or matched with 1,000 templates.

Laws: the packs are loaded from YAML as authors write it, and judged by the production engine with its own counters and
flags; no rule fires, as none does for nearly every exchange.
"""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.meter import medians_us
from bench.traffic import MODEL
from proxy.detectors import field_table
from proxy.exchange import Call, Exchange, Principal
from proxy.keyed.link_names import LinkNames
from proxy.rules.campaigns.book import CampaignBook, Match
from proxy.rules.campaigns.known import KnownCampaign, KnownTemplate
from proxy.rules.engine import Engine
from proxy.rules.flags.book import FlagBook
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.rules.pack_file.loading import check_pack
from proxy.rules.signals.book import SignalBook

_KEY = b"k" * 32
_NOW = 1_790_000_000.0
_SEED = 1
_TEMPLATE_PRINTS = 60
_PROMPT_PRINTS = 128
# What authors write: thresholds on counts, plain comparisons of two or three fields, lists, alternatives.
_CONDITIONS: tuple[dict[str, Any], ...] = (
    {"signals.asks": {"gte": 20}},
    {"request.logprobs": True, "request.logit_bias_size": {"gte": 1}},
    {"request.model": {"in": ["large", "reasoner"]}, "account.plan": "free", "account.age_days": {"lt": 14}},
    {"any": [{"request.turns": {"gte": 200}}, {"request.choices": {"gte": 8}, "request.temperature": {"gt": 1.5}}]},
    {"not": {"request.max_output_tokens": {"lt": 100_000}}},
)
_EXPRESSION = 'request.turns > {n} && account.age_days < 14 && !(account.plan in ["pro", "team"])'


async def rules_costs(batches: int = 200, loads: int = 3) -> dict[str, float]:
    """Return microseconds an exchange for rules, expressions and templates, and seconds to load 1,000 rules."""
    exchange, table = _exchange(), field_table()
    plain = Engine(_pack(100), table, SignalBook(_KEY), FlagBook(), Mode.ENFORCE)
    cel = Engine(_pack(20, cel=True), table, SignalBook(_KEY), FlagBook(), Mode.ENFORCE)
    book, unknown, known = _templates(1000)
    us = await medians_us(
        {
            "plain": lambda: plain.judge(exchange, _NOW),
            "cel": lambda: cel.judge(exchange, _NOW),
            "unknown": lambda: book.matches(unknown),
            "known": lambda: book.matches(known),
        },
        batches,
    )
    return {
        "declarative_100_us": us["plain"],
        "cel_20_us": us["cel"],
        "templates_1000_us": us["unknown"],
        "templates_1000_match_us": us["known"],
        "load_1000_s": _load_seconds(loads),
    }


def _exchange() -> Exchange:
    call = Call(MODEL, stream=False, body={"model": MODEL})
    exchange = Exchange("ex", "openai.chat", "192.0.2.1", "", "", _NOW, Principal("k", "a", "t", "pro", 0.0, {}), call)
    exchange.fields = {**field_table().defaults, "request.model": MODEL, "account.plan": "pro", "request.turns": 4}
    return exchange


def _templates(count: int) -> tuple[CampaignBook, NDArray[np.uint64], NDArray[np.uint64]]:
    """Return a book with so many templates, the prints of a prompt that matches none, and of one that matches one."""
    bits = random.Random(_SEED).getrandbits  # noqa: S311 - so that it is the same each time
    prints = [tuple(bits(64) for _ in range(_TEMPLATE_PRINTS)) for _ in range(count)]
    templates = tuple(KnownTemplate(f"t-{number}", each, 20) for number, each in enumerate(prints))
    book = CampaignBook(LinkNames(_KEY))
    book.hear(KnownCampaign("c", "rule", templates, frozenset(), 0.0, 0.0, _NOW, {}, _NOW, _NOW))
    unknown = np.sort(np.array([bits(64) for _ in range(_PROMPT_PRINTS)], np.uint64))
    known = np.sort(np.concatenate((np.array(prints[0], np.uint64), unknown[_TEMPLATE_PRINTS:])))
    assert (book.matches(unknown), book.matches(known)) == ([], [Match("t-0", "c")])
    return book, unknown, known


def _load_seconds(loads: int) -> float:
    data, found = _text(1000), []
    for _ in range(loads):
        began = time.perf_counter()
        pack, _ = check_pack(data, "bench.yaml")
        assert pack is not None
        found.append(time.perf_counter() - began)
    return min(found)


def _pack(rules: int, *, cel: bool = False) -> Pack:
    pack, problems = check_pack(_text(rules, cel=cel), "bench.yaml")
    assert pack is not None, problems
    return pack


def _text(rules: int, *, cel: bool = False) -> bytes:
    return orjson.dumps(  # JSON is YAML too
        {
            "apiVersion": "stillgate/v1",
            "kind": "PolicyPack",
            "metadata": {"name": "bench", "version": "1", "owner": "bench"},
            "signals": {
                "asks": {"count": "requests", "per": "account", "window": "1h", "where": {"request.logprobs": True}}
            },
            "rules": [
                {
                    "id": f"rule-{n}",
                    **(
                        {"when_cel": _EXPRESSION.format(n=n + 5)}
                        if cel
                        else {"when": _CONDITIONS[n % len(_CONDITIONS)]}
                    ),
                    "flag": {"name": f"flag_{n}", "on": "account", "score": 1, "ttl": "1d"},
                }
                for n in range(rules)
            ],
            "ladder": [{"rung": "observe", "score": 1}],
        },
        option=orjson.OPT_INDENT_2,
    )
