"""How exchanges take part in distributed traces, by the settings; without a collector nothing of it is loaded."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

from proxy.config import Settings
from proxy.decisions.record import Recorder
from proxy.dialects import dialects
from proxy.errors import ConfigurationError
from proxy.secrets import read_header_file
from proxy.settings.trace import NO_OTEL, TraceSettings
from proxy.trace_context import Tracing

if TYPE_CHECKING:
    from proxy.telemetry.spans import Spans


def tracing_of(settings: TraceSettings, bits: Callable[[int], int]) -> Tracing:
    """Return what begins traces; `bits` returns that many random bits."""
    return Tracing(trust_clients=settings.trust_clients, sample=settings.sample, bits=bits)


def spans_of(settings: Settings, worker: int, recorder: Recorder) -> Spans | None:
    """Return what sends spans, if the settings name a collector. Raises ConfigurationError without its libraries."""
    if settings.trace.otlp_url is None:
        return None
    try:
        from proxy.telemetry.spans import Spans, address_of  # noqa: PLC0415 - its libraries need not be there
    except ImportError:
        raise ConfigurationError(NO_OTEL) from None
    return Spans(
        settings.trace.otlp_url,
        version("stillgate"),
        f"{socket.gethostname()}-{worker}",
        lambda exchange: recorder.pseudonyms.names(exchange.principal, exchange.peer, exchange.user_agent),
        {name: address_of(entry.url) for name, entry in settings.upstreams.items()},
        {dialect.name: path for path, dialect in dialects(frozenset()).items()},
        {} if settings.trace.otlp_header_file is None else dict([read_header_file(settings.trace.otlp_header_file)]),
    )
