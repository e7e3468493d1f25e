"""Where an exchange stands in a distributed trace: W3C Trace Context, read, carried on and written.

Laws:
- Whatever clients send, there is no error here: what is malformed, or came twice, counts as not sent.
- Ids are lower-case hexadecimal of fixed length, so they are bounded wherever they go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

# Later versions begin alike, and more may follow; there is no version ff.
_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-[!-~]*)?")
_PARENT_CHARS = 512
_LENGTH_OF_00 = 55
_MEMBER = re.compile(
    r"([a-z0-9][a-z0-9_*/@-]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MEMBERS = 32
_STATE_CHARS = 512  # as much as everybody should pass on
_LONG_MEMBER_CHARS = 128  # longer members are dropped first where the state is too long
_SAMPLED = 1
_DRAWN_BITS = 256  # two spans and a trace, none of which may be zero
_NOT_ZERO = 1 << 192 | 1 << 128 | 1
_LAST_64 = (1 << 64) - 1


class Remote(NamedTuple):
    """A span of another system."""

    trace_id: str
    span_id: str


class Trace(NamedTuple):
    """Where an exchange stands: `span_id` is that of our call upstream, `exchange_id` that of the exchange around it.

    `parent` is the client's span if it is trusted, `link` if it is not; `state` is the trace's `tracestate`.
    """

    trace_id: str
    exchange_id: str
    span_id: str
    sampled: bool
    parent: str = ""
    link: Remote | None = None
    state: str = ""

    def headers(self) -> dict[str, str]:
        """Return what goes upstream."""
        headers = {"traceparent": f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"}
        if self.state:
            headers["tracestate"] = self.state
        return headers


NO_TRACE: Final = Trace("", "", "", sampled=False)


class Tracing:
    """Begins a trace for each exchange, or carries on the client's if clients are trusted.

    `sample` is the share of the traces begun here that are marked as sampled; one that is carried on stays as it is
    marked. `bits` returns that many random bits.
    """

    def __init__(self, *, trust_clients: bool, sample: float, bits: Callable[[int], int]) -> None:
        self._trust = trust_clients
        self._below = round(sample * (1 << 64))
        self._bits = bits

    def begin(self, parents: Sequence[str], states: Sequence[str]) -> Trace:
        """Return where an exchange stands whose request has these values of `traceparent` and `tracestate`."""
        number = self._bits(_DRAWN_BITS) | _NOT_ZERO
        drawn = f"{number:064x}"
        ours, call = drawn[:16], drawn[16:32]
        remote = _read(parents[0]) if len(parents) == 1 else None
        if remote is not None and self._trust:
            (trace_id, parent), sampled = remote
            return Trace(trace_id, ours, call, sampled, parent, None, read_state(states))
        sampled = number & _LAST_64 < self._below
        return Trace(drawn[32:], ours, call, sampled, "", None if remote is None else remote[0])


def _read(parent: str) -> tuple[Remote, bool] | None:
    found = _PARENT.fullmatch(parent) if len(parent) <= _PARENT_CHARS else None
    if found is None or (found[1] == "00" and len(parent) != _LENGTH_OF_00):
        return None
    return Remote(found[2], found[3]), bool(int(found[4], 16) & _SAMPLED)


def read_state(states: Sequence[str]) -> str:
    """Return the members of `tracestate` as one value of bounded length, empty if one of them is malformed."""
    members = [member for state in states for member in map(str.strip, state.split(",")) if member]
    found = [_MEMBER.fullmatch(member) for member in members[: _MEMBERS + 1]]
    names = {match[1] for match in found if match is not None}
    if len(names) != len(members) or len(members) > _MEMBERS:
        return ""
    while len(",".join(members)) > _STATE_CHARS:
        long = [place for place, member in enumerate(members) if len(member) > _LONG_MEMBER_CHARS]
        del members[long[-1] if long else -1]
    return ",".join(members)
