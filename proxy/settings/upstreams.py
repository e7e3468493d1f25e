"""The settings of model APIs, and of the models that customers may name."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Literal

from pydantic import Field

from proxy.documents.strict_model import StrictModel
from proxy.settings.types import (
    PICODOLLARS_PER_TOKEN,
    Date,
    DialectName,
    Dollars,
    ExistingFile,
    ModelName,
    Origin,
    Seconds,
    UpstreamName,
)


class Upstream(StrictModel):
    """One model API."""

    url: Origin = Field(
        description="Its http or https origin, with what else comes before paths such as /v1/chat/completions."
    )
    credential_file: ExistingFile | None = Field(None, description="The file that holds our credential for it.")
    dialects: tuple[DialectName, ...] = Field(
        (), description="The APIs that it speaks, so that no call in another is rerouted to it; without any, all."
    )
    chat_length: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        None,
        description="Its name for the most tokens of a chat's answer, if it knows only one, as Ollama and "
        "Mistral do; without it, the request's.",
    )
    connect_seconds: Seconds = Field(5.0, description="How long a connection to it may take.")
    first_byte_seconds: Seconds = Field(600.0, description="How long its answer's head may take.")
    idle_seconds: Seconds = Field(120.0, description="How long its answer may pause.")
    total_seconds: Seconds = Field(1800.0, description="How long an exchange with it may take in all.")
    connections: int = Field(1024, ge=1, le=65_536, description="Connections to it at once, for each worker.")
    connections_per_tenant: int | None = Field(
        None, ge=1, le=65_536, description="Of these, how many one tenant may have; without it, all."
    )
    waiting_per_tenant: int = Field(
        256,
        ge=0,
        le=65_536,
        description="Exchanges of one tenant that may wait for a connection; more are answered 503.",
    )
    waiting_seconds: Seconds = Field(
        30.0, description="How long an exchange may wait for a connection; then it is answered 503."
    )


class Model(StrictModel):
    """One model that customers may name."""

    upstream: UpstreamName = Field("default", description="The upstream that serves it.")
    known_as: ModelName | None = Field(None, description="What its upstream calls it; without it, as customers do.")
    max_output_tokens: int = Field(
        16_384,
        ge=1,
        le=10_000_000,
        description="The longest answer it gives; reserved unless the client asks for less.",
    )
    input_usd_per_million: Dollars = Field(
        Dollars(0), description="Dollars for a million input tokens, up to six decimals."
    )
    output_usd_per_million: Dollars = Field(
        Dollars(0), description="Dollars for a million output tokens, up to six decimals."
    )

    released: Date | None = Field(
        None, description="When it was released, such as 2026-01-31 (UTC), for fields about new models."
    )

    @property
    def released_at(self) -> float | None:
        """When it was released, in Unix seconds: the beginning of that day."""
        return None if self.released is None else datetime.combine(self.released, time(), UTC).timestamp()

    @property
    def input_picodollars(self) -> int:
        """What one input token costs, in picodollars: 1,000,000 of them are a micro-dollar."""
        return int(self.input_usd_per_million * PICODOLLARS_PER_TOKEN)

    @property
    def output_picodollars(self) -> int:
        """What one output token costs, in picodollars."""
        return int(self.output_usd_per_million * PICODOLLARS_PER_TOKEN)
