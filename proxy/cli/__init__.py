"""The command `stillgate`: every verb in one table.

Exit codes: 0 done; 1 it could not be done, with the reason on stderr; 2 wrong usage.
"""

from __future__ import annotations

from proxy.cli.verbs import group
from proxy.descriptors import hold_standard_streams

app = group(
    {
        "serve": "proxy.cli.serve:serve",
        "hunter": "proxy.cli.hunter:hunter",
        "demo": "proxy.cli.demo:demo",
        "model": "proxy.cli.model:model",
        "health": "proxy.cli.health:health",
        "replay": "proxy.cli.replay:replay",
        "trace": "proxy.cli.trace:trace",
        "keys": "proxy.cli.keys:keys",
        "admin": "proxy.cli.admin:admin",
        "flags": "proxy.cli.flags:flags",
        "campaigns": "proxy.cli.campaigns:campaigns",
        "log": "proxy.cli.log:log",
        "policy": "proxy.cli.policy:policy",
        "config": "proxy.cli.config:config",
    },
    name="stillgate",
    help="A reverse proxy that makes a model expensive to copy through its API.",
)


def main() -> None:
    """Run the command line."""
    hold_standard_streams()
    app()
