"""`stillgate policy schema`: packs as a JSON Schema, for editors."""

from __future__ import annotations

import json

import typer

from proxy.detectors import field_table
from proxy.rules.pack_file.json_schema import pack_json_schema


def schema() -> None:
    """Print the JSON Schema of a pack; an editor reads it from a first line `# yaml-language-server: $schema=FILE`.

    Exit: 0.
    """
    typer.echo(json.dumps(pack_json_schema(field_table()), indent=2))
