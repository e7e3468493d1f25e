"""How an exchange ended: what the decision log, the hunter, samples and spans are handed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from proxy.decision import Outcome, UsageSource, Verdict
from proxy.exchange import Exchange, Usage
from proxy.fields import Value

_NONE: Final[Mapping[str, int]] = {}
_NO_FIELDS: Final[Mapping[str, Value]] = {}


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
