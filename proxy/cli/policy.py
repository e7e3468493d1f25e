"""`stillgate policy`: what is done with packs; every verb in one table."""

from __future__ import annotations

from proxy.cli.verbs import group

policy = group(
    {
        "check": "proxy.cli.policy_check:check",
        "diff": "proxy.cli.policy_diff:diff",
        "fields": "proxy.cli.policy_fields:fields",
        "schema": "proxy.cli.policy_schema:schema",
        "test": "proxy.cli.policy_test:run_tests",
        "explain": "proxy.cli.policy_explain:explain",
        "status": "proxy.cli.policy_status:status",
        "activate": "proxy.cli.policy_activate:activate",
        "rollback": "proxy.cli.policy_activate:rollback",
    },
    help="Check, test, explain and change policy packs.",
)
