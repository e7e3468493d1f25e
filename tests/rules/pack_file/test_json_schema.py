"""The schema for editors: it names everything that a pack can say, and nothing in it leads nowhere."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from proxy.actions import ACTIONS
from proxy.detectors import field_table
from proxy.fields import Field, When
from proxy.rules.conditions.operands import OPERATORS
from proxy.rules.pack_file.json_schema import pack_json_schema
from proxy.rules.pack_file.schema import PackFile
from tests.model_keys import keys

SCHEMA = pack_json_schema(field_table())
DEFINITIONS: dict[str, Any] = SCHEMA["$defs"]


def test_every_reference_leads_to_a_definition() -> None:
    text = json.dumps(SCHEMA)
    assert set(re.findall(r'"#/\$defs/(\w+)"', text)) == set(DEFINITIONS)
    assert "x-completed" not in text


@pytest.mark.parametrize("key", [key.name for key in keys(PackFile)])
def test_every_key_is_described(key: str) -> None:
    name = key.rpartition(".")[2]
    described = [
        part["properties"][name] for part in (SCHEMA, *DEFINITIONS.values()) if name in part.get("properties", {})
    ]
    assert described
    for part in described:  # what says the same as the definition it refers to leaves it there
        assert part.get("description") or DEFINITIONS[part["$ref"].removeprefix("#/$defs/")]["description"]


@pytest.mark.parametrize("field", field_table().values(), ids=lambda field: field.name)
def test_every_field_is_compared_by_its_own_operators(field: Field) -> None:
    where = "Condition" if field.when is When.REQUEST else "SignalCondition"
    compared = DEFINITIONS[where]["properties"][field.name]
    operators = compared.get("anyOf", [compared])[-1]
    assert list(operators["properties"]) == [operator.value for operator in OPERATORS[field.kind]]
    assert compared["description"].startswith(field.description)


def test_a_field_offers_the_values_that_it_ever_has() -> None:
    weekday, encoded, score = (
        DEFINITIONS["Condition"]["properties"][name]
        for name in ("time.weekday", "content.encoded", "content.rubric_grading")
    )
    assert weekday["anyOf"][0]["enum"] == ["", "mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    assert "enum" not in weekday["anyOf"][1]["properties"]["starts_with"]
    assert weekday["anyOf"][1]["properties"]["in"]["anyOf"][0]["items"] == weekday["anyOf"][0]
    assert "base64" in encoded["properties"]["has"]["enum"]
    assert score["anyOf"][1]["properties"]["gte"] == {"type": "number", "maximum": 1.0}


def test_only_a_signal_reads_what_the_end_of_an_exchange_tells() -> None:
    late = {field.name for field in field_table().values() if field.when is When.ANSWER}
    assert late
    assert not late & DEFINITIONS["Condition"]["properties"].keys()
    assert late <= DEFINITIONS["SignalCondition"]["properties"].keys()
    assert {f"distinct {name}" for name in late} <= set(DEFINITIONS["Count"]["enum"])
    assert "patternProperties" not in DEFINITIONS["SignalCondition"]


def test_every_action_is_there_with_its_parameters() -> None:
    actions = DEFINITIONS["Action"]["properties"]
    assert set(actions) == set(ACTIONS)
    for kind in ACTIONS.values():
        assert all(f"{name}: " in actions[kind.name]["description"] for name in kind.parameters)
