"""The command `stillgate`: every verb in one table.

Exit codes: 0 done; 1 it could not be done, with the reason on stderr; 2 wrong usage.
"""

from __future__ import annotations

import typer

from proxy.cli.admin import admin
from proxy.cli.campaigns import campaigns
from proxy.cli.demo import demo
from proxy.cli.flags import flags
from proxy.cli.health import health
from proxy.cli.hunter import hunter
from proxy.cli.keys import keys
from proxy.cli.model import model
from proxy.cli.policy import policy
from proxy.cli.policy_activate import activate, rollback
from proxy.cli.policy_explain import explain
from proxy.cli.policy_status import status
from proxy.cli.policy_test import run_tests
from proxy.cli.replay import replay
from proxy.cli.serve import serve

app = typer.Typer(
    name="stillgate",
    help="A reverse proxy that makes a model expensive to copy through its API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and with them secrets
    add_completion=False,
)
app.command()(serve)
app.command()(hunter)
app.command()(demo)
app.command()(model)
app.command()(health)
app.command()(replay)
app.add_typer(keys, name="keys", help="Make, list, show, revoke, rotate and import keys.")
app.add_typer(admin, name="admin", help="Say who may use the admin side.")
app.add_typer(flags, name="flags", help="List, show, lift and confirm flags.")
app.add_typer(campaigns, name="campaigns", help="List, show, dismiss, confirm and export campaigns.")
policy.command("test")(run_tests)
policy.command()(explain)
policy.command()(status)
policy.command()(activate)
policy.command()(rollback)
app.add_typer(policy, name="policy", help="Check, test, explain and change policy packs.")


def main() -> None:
    """Run the command line."""
    app()
