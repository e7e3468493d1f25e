"""The command `stillgate`: every verb in one table.

Exit codes: 0 done; 1 it could not be done, with the reason on stderr; 2 wrong usage.
"""

from __future__ import annotations

import errno
import os
import sys
from io import TextIOWrapper

import typer

from proxy.cli.verbs import group
from proxy.errors import ConfigurationError
from proxy.machine.descriptors import hold_standard_streams

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
        "secrets": "proxy.cli.secrets:secrets",
        "config": "proxy.cli.config:config",
    },
    name="stillgate",
    help="A reverse proxy that makes a model expensive to copy through its API.",
)

_NOT_PRINTED = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def main() -> None:
    """Run the command line; whoever reads what it prints may leave before its end."""
    hold_standard_streams()
    if isinstance(sys.stdout, TextIOWrapper):  # as on stderr: what an encoding lacks may cost nobody a new key's secret
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except ConfigurationError as unusable:  # what joins the program and cannot be used is in every command's way
        typer.echo(f"stillgate: {unusable}", err=True)
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in _NOT_PRINTED or error.filename is not None:
            raise
        if error.errno != errno.EPIPE:
            typer.echo(f"stillgate: standard output cannot be written: {error.strerror}", err=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still held would fail again at the very end
        raise SystemExit(1) from None
