"""The author's page lists every field and every key of a pattern set, and its example is valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.detectors import field_table
from proxy.fields import Field
from proxy.patterns.sets import PatternSetFile, check_pattern_set
from tests.model_keys import keys

PAGE = (Path(__file__).parent.parent / "policies" / "README.md").read_text()


@pytest.mark.parametrize("field", field_table().values(), ids=lambda field: field.name)
def test_every_field_has_a_row(field: Field) -> None:
    assert f"| `{field.name}` | {field.kind} | {field.description} |" in PAGE


@pytest.mark.parametrize(
    "key",
    [key.name for key in keys(PatternSetFile) if key.name.startswith(("field", "description", "words", "patterns[]."))],
)
def test_every_key_of_a_pattern_set_has_a_row(key: str) -> None:
    assert f"| `{key}` |" in PAGE


def test_the_example_is_a_set_without_a_problem() -> None:
    (example,) = re.findall(r"```yml\n(.*?)```", PAGE, re.DOTALL)
    found, problems = check_pattern_set(example.encode(), "example.yaml")
    assert problems == []
    assert found
