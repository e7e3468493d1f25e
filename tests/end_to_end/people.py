"""The people who run a proxy: its owner at the socket, and colleagues with tokens at the port."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

from proxy.cli import app
from tests.rig.process import Stillgate


def run(gate: Stillgate, *words: str, token: str | None = None) -> Result:
    """Run a verb as the owner of the data folder, or as a person with a token who knows the port only."""
    if token is None:
        return CliRunner().invoke(app, [*words, "--config", str(gate.config)])
    file = gate.folder / "given" / "token"
    file.parent.mkdir(exist_ok=True)
    file.write_text(token + "\n")
    names = {"STILLGATE_ADMIN_URL": gate.announced["admin"], "STILLGATE_TOKEN_FILE": str(file)}
    return CliRunner().invoke(app, list(words), env=names)


def token_of(gate: Stillgate, name: str, role: str, *words: str) -> str:
    result = run(gate, "admin", "tokens", "create", "--name", name, "--role", role, *words, "--json")
    assert result.exit_code == 0, result.output
    return str(json.loads(result.stdout)["secret"])


def changes(gate: Stillgate) -> list[dict[str, Any]]:
    return [record for record in gate.records("admin") if record["result"] != "begun"]
