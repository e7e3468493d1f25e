"""`stillgate log`: everything about the decision log; every verb in one table."""

from __future__ import annotations

from proxy.cli.verbs import group

log = group(
    {
        "verify": "proxy.cli.log_verify:verify",
        "query": "proxy.cli.log_query:query",
        "report": "proxy.cli.log_report:report",
        "export": "proxy.cli.log_export:export",
        "pseudonym": "proxy.cli.log_pseudonym:pseudonym",
        "keygen": "proxy.cli.log_keys:keygen",
        "rotate": "proxy.cli.log_keys:rotate",
        "key": "proxy.cli.log_keys:key",
        "forget": "proxy.cli.log_forget:forget",
        "samples": "proxy.cli.log_samples:samples",
    },
    help="Verify, query, report and export the decision log, manage the keys for it, and forget whom it names.",
)
