"""`stillgate config`: what is done with the settings; every verb in one table."""

from __future__ import annotations

from proxy.cli.verbs import group

config = group({"check": "proxy.cli.config_check:check"}, help="Check the settings.")
