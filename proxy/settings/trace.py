"""The settings of distributed traces."""

from __future__ import annotations

from pydantic import Field

from proxy.documents.strict_model import StrictModel
from proxy.settings.types import ExistingFile, Origin

NO_OTEL = "trace.otlp_url needs further libraries; install them with: pip install 'stillgate[otel]'"


class TraceSettings(StrictModel):
    """How exchanges take part in distributed traces."""

    trust_clients: bool = Field(
        False,
        description="Whether a client's traceparent is carried on; else it is only linked to, since anybody can name "
        "somebody else's trace and have all of it sampled.",
    )
    otlp_url: Origin | None = Field(
        None,
        description="Where spans are sent by OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; needs "
        "stillgate[otel].",
    )
    otlp_header_file: ExistingFile | None = Field(
        None,
        description="The file that holds the header with our credential for it, such as `authorization: Bearer ...`.",
    )
    sample: float = Field(
        1.0,
        ge=0,
        le=1,
        description="The share of traces begun here that are sampled; a trace carried on stays as it was marked.",
    )
