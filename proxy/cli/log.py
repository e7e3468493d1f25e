"""`stillgate log`: what is done with the decision log; every verb in one table."""

from __future__ import annotations

from proxy.cli.verbs import group

log = group(
    {
        "verify": "proxy.cli.log_verify:verify",
        "keygen": "proxy.cli.log_keys:keygen",
        "rotate": "proxy.cli.log_keys:rotate",
        "key": "proxy.cli.log_keys:key",
    },
    help="Verify the decision log, and keep the key that vouches for it.",
)
