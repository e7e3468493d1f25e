"""Builds the decision record: the one line of an exchange, and the few lines about the log itself.

`line` bounds a line's size; `chain` adds the link to the line before when it is written.

Laws:
- Content-free: facts, numbers and pseudonyms, never text of a prompt or an answer, never an address or an account id.
- Columns come in the order of `proxy.decisions.columns`; none is ever absent.
"""

from __future__ import annotations

import time
from typing import Any, Final

from proxy.clock import Clock
from proxy.decision import ALLOWED, Verdict
from proxy.decisions.columns import EXCHANGE, HEAD, SCHEMA
from proxy.decisions.ending import Ending
from proxy.decisions.line import to_line
from proxy.decisions.pseudonyms import Pseudonyms
from proxy.exchange import NO_TIES, Exchange

_CLAIM_CHARS: Final = 128  # of a text that a client may write at will
_NAME_CHARS: Final = 80  # of each of five columns that are never dropped, at up to six bytes a character
_TRACE_CHARS: Final = 32
UNTIED: Final = {"template": "", "cluster": "", "shadow_template": "", "shadow_cluster": ""}
_PRINTS: Final = 16
_PRINT_BYTES: Final = 8


class Recorder:
    """Turns endings into lines, in any thread; one object per writer, whose name comes from the log that it opens.

    `pseudonyms` may be replaced at any time, as each month has its own.
    """

    def __init__(self, version: str, pseudonyms: Pseudonyms, clock: Clock) -> None:
        self.writer = ""
        self.pseudonyms = pseudonyms
        self._version = version[:_NAME_CHARS]
        self._clock = clock
        self._stamp = (-1, "")  # the last second asked for, as text; replaced as a whole, since both threads ask
        # All columns in order, as a plain allow has them: filling in a copy takes half as long as making a new row.
        self._plain: dict[str, Any] = {
            **dict.fromkeys(column.name for column in (*HEAD, *EXCHANGE)),
            **_verdict_columns(ALLOWED),
            "v": SCHEMA,
            "kind": "exchange",
            "stillgate": self._version,
            "helper": {},
            "sampled": False,
            "truncated": False,
        }

    def exchange(self, ending: Ending) -> bytes:
        """Return the terminal record of an exchange, newline included."""
        exchange, verdict, call = ending.exchange, ending.verdict, ending.exchange.call
        pseudonyms = self.pseudonyms  # once: this may run in the writer's thread
        names = pseudonyms.names(exchange.principal, exchange.peer, exchange.user_agent)
        row = self._plain.copy()
        if verdict is not ALLOWED:
            row |= _verdict_columns(verdict)
        row["writer"] = self.writer
        row["time"] = self._rfc3339(exchange.started)
        row["id"] = exchange.id[:_NAME_CHARS]
        row["pack_digest"] = ending.pack_digest[:_NAME_CHARS]
        row["pack_name"] = ending.pack_name
        row["dialect"] = exchange.dialect[:_NAME_CHARS]
        row["epoch"] = pseudonyms.epoch
        row["key"], row["account"], row["tenant"], row["peer"], row["user_agent"] = names
        row["plan"] = exchange.principal.plan
        row["client_request_id"] = exchange.client_request_id[:_CLAIM_CHARS]
        row["trace_id"] = exchange.trace.trace_id[:_TRACE_CHARS]
        row["model"] = call.model[:_CLAIM_CHARS] if call else ""
        row["fields"] = ending.fields
        row["template"] = exchange.template[:_NAME_CHARS]
        row["cluster"] = exchange.cluster[:_NAME_CHARS]
        row["ties"] = _ties(exchange)
        row["prints"] = _prints(exchange)
        row["status"] = ending.status
        row["code"] = ending.code
        row["quotas"] = ending.quotas
        row["reserved"] = ending.reserved
        row["settled"] = ending.settled
        tokens_in, tokens_out, _ = ending.usage
        row["usage"] = {"input": tokens_in, "output": tokens_out, "source": ending.usage_source}
        row["cost_microusd"] = ending.cost_microusd
        row["outcome"] = ending.outcome
        row["ms"] = {
            "total": _milliseconds(ending.total),
            "decide": _milliseconds(ending.decide),
            "first_byte": _milliseconds(ending.first_byte),
            "upstream": _milliseconds(ending.upstream_seconds),
        }
        row["bytes_in"] = ending.bytes_in
        row["bytes_out"] = ending.bytes_out
        row["chunks"] = ending.chunks
        row["upstream"] = ending.upstream
        row["model_used"] = ending.model_used[:_CLAIM_CHARS]
        row["helper"] = ending.helper
        row["sampled"] = ending.sampled
        return to_line(row)

    def begin(self, exchange: Exchange, verdict: Verdict, pack_digest: str) -> bytes:
        """Return the begin record of a degraded exchange, which goes upstream next; its terminal record follows."""
        return self._notice(
            "begin", id=exchange.id[:_NAME_CHARS], pack_digest=pack_digest, rung=verdict.rung, actions=verdict.actions
        )

    def sample(self, exchange_id: str, sealed_to: str, digest: str, size: int) -> bytes:
        """Return the line that says which sealed sample of an exchange is on the disk."""
        return self._notice("sample", id=exchange_id[:_NAME_CHARS], sealed_to=sealed_to, digest=digest, bytes=size)

    def start(self, pack_digest: str) -> bytes:
        """Return the line that begins a process's records."""
        return self._notice("start", pack_digest=pack_digest)

    def stop(self, lost: int) -> bytes:
        """Return the line that ends a process's records."""
        return self._notice("stop", lost=lost)

    def gap(self, started: float, last: float) -> bytes:
        """Return the line that says when records of an earlier process may be missing; wall times in seconds."""
        return self._notice("gap", started=self._rfc3339(started), last=self._rfc3339(last))

    def repair(self, torn_bytes: int) -> bytes:
        """Return the line that says how much of an unfinished line the file ended with."""
        return self._notice("repair", torn_bytes=torn_bytes)

    def _notice(self, kind: str, **columns: str | int | tuple[str, ...]) -> bytes:
        head = {
            "v": SCHEMA,
            "kind": kind,
            "time": self._rfc3339(self._clock.wall()),
            "writer": self.writer,
            "stillgate": self._version,
        }
        return to_line(head | columns)

    def _rfc3339(self, wall: float) -> str:
        second, text = self._stamp
        if second != int(wall):
            second = int(wall)
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._stamp = (second, text)
        return f"{text}.{int(wall * 1000) % 1000:03d}Z"


def _verdict_columns(verdict: Verdict) -> dict[str, Any]:
    return {
        "effect": verdict.effect,
        "by": verdict.by,
        "reasons": verdict.reasons,
        "rung": verdict.rung,
        "score": verdict.score,
        "actions": verdict.actions,
        "fired": verdict.fired,
        "flags": verdict.flags,
        "waiting": verdict.waiting,
        "exempt": verdict.exempt,
        "failed": verdict.failed,
        "shadow": verdict.shadow._asdict(),
        "counted": {"enforced": verdict.counted, "shadow": verdict.shadow_counted},
    }


def _ties(exchange: Exchange) -> dict[str, str]:
    if exchange.shadow_ties is NO_TIES:  # ties in enforcement are ties in shadow, too
        return UNTIED
    enforced, shadow = exchange.ties, exchange.shadow_ties
    return {
        "template": enforced.template,
        "cluster": enforced.cluster,
        "shadow_template": shadow.template,
        "shadow_cluster": shadow.cluster,
    }


def _prints(exchange: Exchange) -> list[str]:
    """Return the smallest prints: those that two prompts with common text are most likely to share."""
    if exchange.prints is None or not len(exchange.prints.sample):
        return []
    # Little-endian numbers in reversed memory read as big-endian ones, the last print first.
    digits: str = exchange.prints.sample[:_PRINTS].astype("<u8", copy=False).tobytes()[::-1].hex(",", _PRINT_BYTES)
    return digits.split(",")[::-1]


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else int(seconds * 1e6) / 1e3
