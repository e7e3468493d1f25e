"""Decision logs as the recorder writes them, of any length: seeded, with what rules, quotas and campaigns leave in them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from proxy.clock import VirtualClock
from proxy.decision import ALLOWED, Effect, Outcome, Shadow, UsageSource, Verdict
from proxy.decisions.ending import Ending
from proxy.decisions.pseudonyms import Pseudonyms
from proxy.decisions.record import Recorder
from proxy.exchange import Call, Exchange, Principal, Ties, Usage
from proxy.fingerprint.winnow import Prints
from tests.decisions.endings import KEY, STARTED

DIGEST = "a" * 64
SECONDS_APART = 0.5
_ENDINGS = 4_096  # different ones; times, ids and callers differ in each line
_ACCOUNTS = 2_048  # as many as the pseudonyms of which are remembered
_CHUNK = 4_096


def lines(count: int, seed: int = 1) -> Iterator[bytes]:
    """Yield so many terminal records, half a second apart."""
    chance = random.Random(seed)
    scribe = Recorder("0.1.0", Pseudonyms("2025-11", KEY), VirtualClock(STARTED))
    scribe.writer = "host-1"
    endings = [_ending(chance) for _ in range(min(count, _ENDINGS))]
    callers = [
        Principal(f"key_{number}", f"acct-{number}", f"org-{number % 700}", "pro", 1.7e9, {})
        for number in range(min(count, _ACCOUNTS))
    ]
    for number in range(count):
        ending = chance.choice(endings)
        exchange = ending.exchange
        exchange.id = f"xg_{number:010x}"
        exchange.started = STARTED + SECONDS_APART * number
        exchange.principal = chance.choice(callers)
        yield scribe.exchange(ending)


def write(file: Path, count: int, seed: int = 1) -> Path:
    """Write such a log and return where."""
    made = lines(count, seed)
    with file.open("wb") as out:
        while chunk := b"".join(islice(made, _CHUNK)):
            out.write(chunk)
    return file


def _ending(chance: random.Random) -> Ending:
    luck = chance.random()
    verdict = ALLOWED if luck < 0.85 else _degraded(chance) if luck < 0.95 else _denied(chance)
    denied = verdict.effect is Effect.DENY
    campaign = f"c-{chance.randrange(8):010x}" if verdict.rung else ""
    exchange = Exchange(
        id="",
        dialect=chance.choice(("openai.chat", "anthropic.messages")),
        peer=f"203.0.113.{chance.randrange(200)}",
        user_agent="OpenAI/Python 2.1",
        client_request_id="",
        started=STARTED,
        principal=Principal("", "", "", "", 0.0, {}),
        call=Call("large", stream=False, body={}),
        fields={},
    )
    exchange.cluster, exchange.template = campaign, campaign and f"{campaign}-t"
    exchange.ties = exchange.shadow_ties = Ties(exchange.template, campaign)
    prints = np.sort(np.array([chance.getrandbits(63) for _ in range(16)], np.uint64))
    exchange.prints = Prints(prints, 1, 2, prints)
    return Ending(
        exchange=exchange,
        verdict=verdict,
        outcome=Outcome.REFUSED if denied else Outcome.ANSWERED,
        status=429 if denied else 200,
        pack_digest=DIGEST,
        pack_name="default",
        total=chance.uniform(0.1, 9.0),
        decide=0.00012,
        upstream_seconds=None if denied else 2.0,
        code="rate_limit_exceeded" if denied else "",
        quotas=() if denied else ("key-quota", "account-day"),
        reserved={} if denied else {"requests": 1, "output_tokens": 900},
        settled={} if denied else {"requests": 1, "output_tokens": chance.randrange(50, 2_000)},
        usage=Usage(0, 0) if denied else Usage(chance.randrange(20, 900), chance.randrange(20, 900)),
        usage_source=UsageSource.NONE if denied else UsageSource.UPSTREAM,
        cost_microusd=0 if denied else chance.randrange(9_000),
        bytes_in=2_000,
        bytes_out=3_000,
        chunks=1,
        upstream="models",
        fields={"request.model": "large", "request.turns": chance.randrange(1, 9), "content.rubric_grading": True},
        model_used="large",
    )


def _degraded(chance: random.Random) -> Verdict:
    rule = f"rule-{chance.randrange(6)}"
    return Verdict(
        Effect.DEGRADE,
        by="strip",
        reasons=(f"{chance.randrange(3, 40)} probes in an hour",),
        rung="strip",
        score=45,
        actions=("drop",),
        fired=(rule,),
        flags=("probing", "campaign"),
        shadow=Shadow("clamp", 95, (rule, "chatty"), ()),
    )


def _denied(chance: random.Random) -> Verdict:
    quota = chance.choice(("key-quota", "account-day"))
    return Verdict(
        Effect.DENY,
        by=quota,
        reasons=(f"{quota}: requests a minute", "slow down"),
        shadow=Shadow(denied_by=("tokens-soft",)),
    )
