"""`stillgate policy`: what an author does with a pack before it runs; every verb in one table."""

from __future__ import annotations

import typer

from proxy.cli.policy_check import check
from proxy.cli.policy_diff import diff
from proxy.cli.policy_fields import fields
from proxy.cli.policy_schema import schema

policy = typer.Typer(help="Check and compare packs of policies.", no_args_is_help=True)
policy.command()(check)
policy.command()(diff)
policy.command()(fields)
policy.command()(schema)
