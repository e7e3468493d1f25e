"""Builds endings and recorders for the tests of this room."""

from __future__ import annotations

from typing import Any

from proxy.clock import Clock, VirtualClock
from proxy.decision import Effect, Outcome, UsageSource, Verdict
from proxy.decisions.ending import Ending
from proxy.decisions.pseudonyms import Pseudonyms
from proxy.decisions.record import Recorder
from proxy.exchange import Call, Exchange, Principal, Usage

KEY = b"k" * 32
STARTED = 1_764_000_000.25  # 2025-11-24T16:00:00.250Z


def recorder(clock: Clock | None = None) -> Recorder:
    made = Recorder("0.1.0", Pseudonyms("2025-11", KEY), clock or VirtualClock(STARTED))
    made.writer = "host-1"
    return made


def exchange(**changes: Any) -> Exchange:
    facts: dict[str, Any] = {
        "id": "xg_0123456789",
        "dialect": "openai.chat",
        "peer": "203.0.113.7",
        "user_agent": "OpenAI/Python 2.1",
        "client_request_id": "",
        "started": STARTED,
        "principal": Principal("key_1", "acct-secret", "org-secret", "pro", 1.7e9, {}),
        "call": Call("large", stream=False, body={}),
        "fields": {"request.model": "large", "request.stream": False, "request.turns": 3},
    }
    return Exchange(**(facts | changes))


def ending(given: Exchange | None = None, **changes: Any) -> Ending:
    facts: dict[str, Any] = {
        "exchange": given or exchange(),
        "verdict": Verdict(Effect.ALLOW),
        "outcome": Outcome.ANSWERED,
        "status": 200,
        "pack_digest": "sha256:" + "a" * 64,
        "pack_name": "default",
        "total": 0.0123456,
        "decide": 0.00012,
        "upstream_seconds": 0.0121,
        "quotas": ("key-quota",),
        "reserved": {"requests": 1},
        "settled": {"requests": 1},
        "usage": Usage(500, 311),
        "usage_source": UsageSource.UPSTREAM,
        "cost_microusd": 3110,
        "upstream": "models",
    }
    return Ending(**({"fields": facts["exchange"].fields} | facts | changes))
