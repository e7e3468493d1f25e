"""A pack, callers, and the log lines that the real engine and the real recorder leave of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from proxy.clock import VirtualClock
from proxy.deciding.decider import Decision
from proxy.decision import ALLOWED, Effect, Outcome
from proxy.decisions.ending import Ending
from proxy.decisions.logged import Logged, read_logged
from proxy.decisions.pseudonyms import Pseudonyms
from proxy.decisions.record import Recorder
from proxy.detectors import field_table
from proxy.exchange import NO_TIES, Call, Exchange, Principal, Ties
from proxy.rules.engine import Engine
from proxy.rules.flags.book import FlagBook
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode
from proxy.rules.pack_file.loading import check_pack
from proxy.rules.signals.book import SignalBook
from proxy.steps.refusal import to_verdict

TABLE = field_table()
NOW = 1_790_000_000.0
HEAD = """\
apiVersion: stillgate/v1
kind: PolicyPack
metadata: {name: example, version: 1.0.0, owner: tests}
defaults: {mode: enforce}
"""
PROBING = """\
signals:
  probes: {count: requests, per: account, window: 1h, where: {request.logprobs: true}}
rules:
  - id: probing
    when: {signals.probes: {gte: 3}}
    flag: {name: probing, on: account, score: 45, ttl: 1h}
    reason: "{signals.probes} probes"
  - id: chatty
    mode: shadow
    when: {request.turns: {gte: 9}}
    flag: {name: chatty, on: account, score: 100, ttl: 1h}
ladder:
  - {rung: strip, score: 40, do: [{drop: [logprobs]}], disclose: header}
  - {rung: clamp, score: 80, do: [{clamp: {n: 1}}]}
"""


def made(text: str) -> Pack:
    pack, problems = check_pack((HEAD + text).encode(), "example.yaml")
    assert pack, problems
    return pack


@dataclass
class Proxy:
    """One process that judges by a pack and records what came of it."""

    pack: Pack
    max_mode: Mode = Mode.ENFORCE
    now: float = NOW
    lines: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.signals, self.flags = SignalBook(b"k" * 32), FlagBook()
        self.load(self.pack)
        self.recorder = Recorder("0", Pseudonyms("2026-09", b"k" * 32), VirtualClock(NOW))

    def load(self, pack: Pack) -> None:
        self.pack = pack
        self.engine = Engine(pack, TABLE, self.signals, self.flags, self.max_mode)

    def send(
        self,
        account: str = "acme",
        *,
        unknown: frozenset[str] = frozenset(),
        ties: Ties = NO_TIES,
        shadow_ties: Ties = NO_TIES,
        until: float | None = None,
        **changes: Any,
    ) -> Logged:
        """Judge an exchange with these fields, record it, and return what a reader finds; `until` is when, if later."""
        self.now += 1
        fields = {**TABLE.defaults, **{name.replace("__", "."): value for name, value in changes.items()}}
        caller = Principal(f"key-{account}", account, f"org-{account}", "free", NOW, {})
        call = Call("large", stream=False, body={})
        number = f"x{len(self.lines)}"
        exchange = Exchange(number, "openai.chat", "192.0.2.1", "", "", self.now, caller, call, (), fields, unknown)
        exchange.ties, exchange.shadow_ties = ties, shadow_ties
        judgement = self.engine.judge(exchange, until or self.now)
        verdict = to_verdict(Decision(Effect.ALLOW, judgement))
        recorded = (*self.engine.recorded,)
        kept = {name: fields[name] for name in recorded if fields[name] != TABLE.defaults.get(name, 0)}
        return self.record(exchange, verdict=verdict, fields=kept, decide=0.0)

    def record(self, exchange: Exchange, **changes: Any) -> Logged:
        facts: dict[str, Any] = {"verdict": ALLOWED, "outcome": Outcome.ANSWERED, "status": 200, "total": 0.1}
        named = {"pack_digest": self.pack.digest, "pack_name": self.pack.name}
        self.lines.append(self.recorder.exchange(Ending(exchange, **{**facts, **named, **changes})))
        return read_logged(orjson.loads(self.lines[-1]))

    def write(self, path: Path) -> Path:
        path.write_bytes(b"".join(self.lines))
        return path

    def log(self) -> Iterator[Logged]:
        for line in self.lines:
            yield read_logged(orjson.loads(line))
