from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli.config import config
from tests.rig.plugged import ACTION, plug_in


@pytest.mark.parametrize("kept", ["degrees", "lambda: degrees"])
def test_a_pack_that_no_start_could_hand_to_its_workers_is_shown(plugins: Path, kept: str) -> None:
    code = ACTION.replace("self.degrees = degrees", f"self.degrees = {kept}")
    plug_in(plugins, code, {"stillgate.actions": "hush = plugged:Hush"})
    settings, pack = plugins / "stillgate.yaml", plugins / "pack.yaml"
    settings.write_text("{apiVersion: stillgate/v1, kind: Settings, pack: pack.yaml}")
    pack.write_text(
        "{apiVersion: stillgate/v1, kind: PolicyPack, metadata: {name: p, version: '1', owner: o},"
        " ladder: [{rung: r, score: 5, do: [{hush: {degrees: 7}}]}]}"
    )
    result = CliRunner().invoke(config, ["check", "--config", str(settings)])
    assert result.exit_code == ("lambda" in kept)
    assert (f"{pack}: error: a pack cannot be handed to workers: " in result.stdout) == ("lambda" in kept)
