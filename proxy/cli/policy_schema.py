"""`stillgate policy schema`: packs as a JSON Schema, for editors."""

from __future__ import annotations

from proxy.cli.printing import print_json
from proxy.detectors import field_table
from proxy.rules.pack_file.json_schema import pack_json_schema


def schema() -> None:
    """Print the JSON Schema of a pack; an editor reads it from a first line `# yaml-language-server: $schema=FILE`.

    Exit: 0.
    """
    print_json(pack_json_schema(field_table()), 2)
