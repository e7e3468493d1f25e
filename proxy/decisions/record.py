"""Builds the decision record: the one JSON line of an exchange, and the few lines about the log itself.

What links a line to the one before it is added when it is written: see `chain`.

Laws:
- Content-free: facts, numbers and pseudonyms, never text of a prompt or an answer, never an address or an account id.
- One line of valid UTF-8 JSON, under `LINE_BYTES` with its newline, whatever the values hold: JSON escapes the control
  characters of ASCII, every other character that does not print (line separators, direction marks, lone surrogates)
  becomes U+FFFD.
- A line that is not short and plain ASCII has its texts cut to `TEXT_CHARS`, and one that is too long its lists to
  `LIST_ITEMS`. If it is still too long, it loses the columns of `DROPPED_FIRST`, one by one in that order. A line that
  lost items or columns says `truncated`.
- Columns come in the order of `proxy.decisions.columns`; none is ever absent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from proxy.clock import Clock
from proxy.decision import ALLOWED, Outcome, UsageSource, Verdict
from proxy.decisions.columns import DROPPED_FIRST, EXCHANGE, HEAD, SCHEMA
from proxy.decisions.pseudonyms import Pseudonyms
from proxy.exchange import NO_TIES, Exchange, Usage
from proxy.fields import Value

LINE_BYTES: Final = 3_980  # a write to a pipe is whole up to 4,096 bytes (PIPE_BUF), and the link is still to come
TEXT_CHARS: Final = 256
LIST_ITEMS: Final = 128  # few enough that a line of many long lists is cleaned in a millisecond
_CLAIM_CHARS: Final = 128  # what a client may write into a line at will
_NAME_CHARS: Final = 80  # columns that are never dropped: five of them, six bytes a character at worst
_TRACE_CHARS: Final = 32
_INT_MAX: Final = 2**63 - 1


_NONE: Final[Mapping[str, int]] = {}
_NO_FIELDS: Final[Mapping[str, Value]] = {}
UNTIED: Final = {"template": "", "cluster": "", "shadow_template": "", "shadow_cluster": ""}
_PRINTS: Final = 16
_PRINT_BYTES: Final = 8


class Ending(NamedTuple):
    """All there is to record about an exchange when it has ended; durations are in seconds, None if not reached."""

    exchange: Exchange
    verdict: Verdict
    outcome: Outcome
    status: int
    pack_digest: str
    pack_name: str
    total: float
    decide: float | None = None
    first_byte: float | None = None
    upstream_seconds: float | None = None
    code: str = ""
    quotas: Sequence[str] = ()
    reserved: Mapping[str, int] = _NONE
    settled: Mapping[str, int] = _NONE
    usage: Usage = Usage(0, 0)
    usage_source: UsageSource = UsageSource.NONE
    cost_microusd: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    chunks: int = 0
    upstream: str = ""
    fields: Mapping[str, Value] = _NO_FIELDS
    model_used: str = ""
    helper: Mapping[str, int] = _NONE
    model_said: str = ""  # by the answer; not recorded
    sampled: bool = False


class Recorder:
    """Turns endings into lines, in any thread; one object per writer, whose name the log tells when it is opened.

    `pseudonyms` may be replaced at any time: a new month brings new ones.
    """

    def __init__(self, version: str, pseudonyms: Pseudonyms, clock: Clock) -> None:
        self.writer = ""
        self.pseudonyms = pseudonyms
        self._version = version[:_NAME_CHARS]
        self._clock = clock
        self._stamp = (-1, "")  # of the second that was asked for last; both threads ask
        # Every column in its order, with what a plain allow has: filling in a copy takes half as long as a new row.
        self._plain: dict[str, Any] = {
            **dict.fromkeys(column.name for column in (*HEAD, *EXCHANGE)),
            **_verdict_columns(ALLOWED),
            "v": SCHEMA,
            "kind": "exchange",
            "stillgate": self._version,
            "helper": _NONE,
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
        """Return the line that says that a degraded exchange goes upstream; its terminal record follows."""
        return self._notice(
            "begin", id=exchange.id[:_NAME_CHARS], pack_digest=pack_digest, rung=verdict.rung, actions=verdict.actions
        )

    def sample(self, exchange_id: str, sealed_to: str, digest: str, size: int) -> bytes:
        """Return the line that says that a sealed sample of an exchange is on the disk, and which."""
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
    if exchange.shadow_ties is NO_TIES:  # what counts in enforcement counts in shadow too
        return UNTIED
    enforced, shadow = exchange.ties, exchange.shadow_ties
    return {
        "template": enforced.template,
        "cluster": enforced.cluster,
        "shadow_template": shadow.template,
        "shadow_cluster": shadow.cluster,
    }


def _prints(exchange: Exchange) -> list[str]:
    """Return the least prints: those that two prompts with a text in common are most likely to have both."""
    if exchange.prints is None or not len(exchange.prints.sample):
        return []
    # Turned around, what lies in memory with its lowest byte first is read with the highest first, the last print too.
    digits: str = exchange.prints.sample[:_PRINTS].astype("<u8", copy=False).tobytes()[::-1].hex(",", _PRINT_BYTES)
    return digits.split(",")[::-1]


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else int(seconds * 1e6) / 1e3


def to_line(row: dict[str, Any]) -> bytes:
    """Return a row as a line that keeps this file's laws."""
    try:
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a lone surrogate, or a number that does not fit into 64 bits
        line = b""
    # What is ASCII holds no line separator, and JSON escapes every control character but DEL.
    if line and len(line) < LINE_BYTES and line.isascii() and b"\x7f" not in line:
        return line
    most = LIST_ITEMS if len(line) >= LINE_BYTES or not line else len(line)
    cleaned = {name: _cleaned(value, most) for name, value in row.items()}
    if "truncated" in row and any(_is_longer(value, most) for value in row.values()):
        cleaned["truncated"] = True
    return _shortened(cleaned)


def _is_longer(value: object, most: int) -> bool:
    match value:
        case Mapping():
            return any(_is_longer(item, most) for item in value.values())
        case list() | tuple():
            return len(value) > most
        case _:
            return False


def _shortened(row: dict[str, Any]) -> bytes:
    line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    for column in DROPPED_FIRST:
        if len(line) < LINE_BYTES:
            break
        row[column] = type(row[column])()
        row["truncated"] = True
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    return line


def _cleaned(value: object, most: int) -> object:
    match value:
        case None | bool() | float():
            return value
        case int():
            return max(-_INT_MAX, min(value, _INT_MAX))
        case Mapping():
            return {printable(str(name)): _cleaned(item, most) for name, item in value.items()}
        case list() | tuple():
            return [_cleaned(item, most) for item in value[:most]]
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """Return a text as a line that has to be cleaned holds it."""
    return "".join(c if c.isprintable() or c < " " else "\ufffd" for c in text[:TEXT_CHARS])
