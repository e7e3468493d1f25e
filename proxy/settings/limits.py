"""The settings of what clients may take."""

from __future__ import annotations

from pydantic import Field

from proxy.documents.strict_model import StrictModel
from proxy.settings.types import Seconds


class Limits(StrictModel):
    """What one client or all of them may take of a worker."""

    body_bytes: int = Field(10 << 20, ge=1024, le=256 << 20, description="The largest request body.")
    header_seconds: Seconds = Field(10.0, description="How long a request's head may take to arrive.")
    body_seconds: Seconds = Field(
        30.0,
        description="How long a request's body may take, plus one second for every body_bytes_per_second of its bytes.",
    )
    body_bytes_per_second: int = Field(
        1024, ge=1, description="How many bytes of a body add one second to body_seconds."
    )
    idle_seconds: Seconds = Field(75.0, description="How long a connection may rest between requests.")
    write_stall_seconds: Seconds = Field(
        60.0, description="How long a client may read nothing of an answer, or less than 16 kB a second."
    )
    connections: int = Field(10_000, ge=1, le=1_000_000, description="Client connections at once.")
    connections_per_peer: int = Field(
        1000, ge=1, le=1_000_000, description="Client connections at once from one address, or one /64 of IPv6."
    )
    exchanges: int = Field(2048, ge=1, le=1_000_000, description="Exchanges at once; more are answered 503.")
    memory_bytes: int | None = Field(
        None,
        ge=64 << 20,
        le=1 << 50,
        description="The most memory for all processes together, in addition to the limits of the control "
        "group and the process; from 90 % of the nearest limit on, new work is turned away.",
    )
    stop_delay_seconds: float = Field(
        0.0,
        ge=0,
        le=600,
        description="How long new work is still accepted after a SIGTERM, with readiness off, so that load "
        "balancers notice first.",
    )
    drain_seconds: Seconds = Field(30.0, description="How long running answers may go on after a stop was asked for.")
