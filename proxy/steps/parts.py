"""What a gateway is made of; `assembling` makes it, once a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.auth.jwt import Tokens
from proxy.auth.key_cache import KeyCache
from proxy.clock import Clock
from proxy.decisions.journal import Journal
from proxy.dialects.base import Dialect
from proxy.hunting.telling import Teller
from proxy.steps.afterwards import Afterwards
from proxy.telemetry.tally import Tally
from proxy.trace_context import Tracing
from proxy.upstream.model_api import Upstream
from proxy.upstream.served_model import ServedModel

if TYPE_CHECKING:  # loaded only where the settings want them
    from proxy.samples.sampler import Sampler
    from proxy.telemetry.spans import Spans


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a gateway."""

    dialects: Mapping[str, Dialect]  # by path
    openai: Dialect  # words errors where the path names no dialect
    anthropic: Dialect  # the same if `anthropic-version` is there
    models: Mapping[str, ServedModel]
    upstreams: Mapping[str, Upstream]
    keys: KeyCache
    tokens: Tokens
    journal: Journal
    tally: Tally
    teller: Teller
    afterwards: Afterwards
    clock: Clock
    new_id: Callable[[], str]
    tracing: Tracing
    spans: Spans | None  # None if there is no collector
    trusted_hops: int
    hosts: frozenset[str]  # which may be asked for; empty: every one
    betas: frozenset[str]  # which clients may turn on; others are left out
    max_exchanges: int
    links: Mapping[str, str]  # docs_url and appeal_url
    sampler: Sampler | None  # None if no samples are kept
