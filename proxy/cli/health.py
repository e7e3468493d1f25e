"""`stillgate health`: for a container's health check."""

from __future__ import annotations

import typer

from proxy.cli.admin_client import AdminClient
from proxy.cli.options import Config, Data, told_plainly


def health(config: Config = None, data: Data = None) -> None:
    """Exit with 0 if the proxy accepts requests, else with 1 and the reason."""
    with told_plainly():
        AdminClient.of(config, data).ask("GET", "/readyz")
        typer.echo("ready")
