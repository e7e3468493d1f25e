"""The settings of where the proxy listens: for customers, for operators, and for those who only watch."""

from __future__ import annotations

from pydantic import Field

from proxy.documents.strict_model import StrictModel
from proxy.settings.types import Host, LoopbackHost, Port, ServedHost


class Listen(StrictModel):
    """Where customers connect."""

    host: Host = Field("127.0.0.1", description="The address that customers connect to.")
    port: Port = Field(8080, description="Its port; 0 takes a free one.")
    hosts: tuple[ServedHost, ...] = Field(
        (),
        description="The hosts that customers may ask for; others are answered 421. Without any, all may.",
    )


class Admin(StrictModel):
    """Where health, metrics and the command line are served."""

    host: LoopbackHost = Field("127.0.0.1", description="The address of the admin side; loopback only.")
    port: Port = Field(9090, description="Its port; 0 takes a free one.")


class Health(StrictModel):
    """Where health and metrics are served a second time, for a cluster's probes and its Prometheus."""

    host: Host = Field("127.0.0.1", description="The address; whoever reaches it reads the metrics.")
    port: int | None = Field(
        None, ge=1, le=65_535, description="Its port; without one, health and metrics are on the admin side only."
    )
