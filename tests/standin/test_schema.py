from __future__ import annotations

import enum
import ipaddress
import json
import uuid
from datetime import date, datetime
from typing import Annotated, Any, Literal

import pydantic
import pytest

from proxy.errors import BadRequest
from proxy.standin.prose import Prose, dice_for
from proxy.standin.schema import SchemaFiller

PROSE = Prose(0)
SEEDS = range(25)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Leaf(pydantic.BaseModel):
    kind: Literal["leaf"]
    weight: Annotated[float, pydantic.Field(gt=0, lt=0.1)]


class Branch(pydantic.BaseModel):
    kind: Literal["branch"]
    below: list[Branch | Leaf]


class Everything(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    name: Annotated[str, pydantic.Field(min_length=200, max_length=210)]
    code: Annotated[str, pydantic.Field(max_length=3)]
    count: Annotated[int, pydantic.Field(gt=3, lt=6)]
    negative: Annotated[int, pydantic.Field(le=-5)]
    even: Annotated[int, pydantic.Field(multiple_of=14, ge=1)]
    quarter: Annotated[float, pydantic.Field(multiple_of=0.25, ge=0.1, le=0.3)]
    share: Annotated[float, pydantic.Field(ge=0, le=1)]
    colour: Colour
    maybe: int | None
    either: Annotated[Leaf | Branch, pydantic.Field(discriminator="kind")]
    tree: Branch
    names: Annotated[list[str], pydantic.Field(min_length=3, max_length=4)]
    distinct: Annotated[set[int], pydantic.Field(min_length=5)]
    pair: tuple[int, str]
    prices: dict[str, float]
    at: datetime
    on: date
    id: uuid.UUID
    address: ipaddress.IPv4Address
    yes: bool
    nothing: None
    usual: str = "default"


def fill(schema: object, seed: int) -> Any:
    return SchemaFiller(schema, dice_for(b"schema", str(seed).encode()), PROSE).fill()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_filled_schema_passes_the_validator_that_made_it(seed: int) -> None:
    value = fill(Everything.model_json_schema(), seed)
    Everything.model_validate_json(json.dumps(value), strict=True)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"const": 5}, 5),
        ({"enum": ["only"]}, "only"),
        ({"type": "object"}, {}),
        ({"type": "array", "maxItems": 0}, []),
        ({"type": ["null"]}, None),
        ({"type": "integer", "minimum": 7, "maximum": 7}, 7),
        ({"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 3}]}, 3),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": "found"}}}, "found"),
        ({"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}, {"a": 1}),
        ({"required": ["z"], "properties": {"z": {"const": None}}}, {"z": None}),
        ({"type": "string", "default": "usual"}, "usual"),
        ({"anyOf": [{"const": 1}], "oneOf": [{"const": 1}]}, 1),
    ],
)
def test_a_schema_with_one_valid_value_gets_it(schema: object, expected: object) -> None:
    assert fill(schema, 0) == expected


@pytest.mark.parametrize(
    "schema", [True, False, None, 5, {}, {"type": 5}, {"properties": [], "required": {}}, {"anyOf": 5}, {"enum": []}]
)
def test_a_schema_that_says_nothing_useful_still_gets_a_value(schema: object) -> None:
    json.dumps(fill(schema, 0), allow_nan=False)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/nowhere"},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"anyOf": [{"$ref": "#"}]},
        {"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]},
        {"type": "array", "minItems": 3000},
        {"type": "array", "items": {"const": 1}, "uniqueItems": True, "minItems": 2},
        {"type": "string", "minLength": 10**9},
        {"type": "number", "minimum": 1e300, "multipleOf": 1e-300},
    ],
)
def test_a_schema_without_an_end_is_the_requests_fault(schema: object) -> None:
    with pytest.raises(BadRequest):
        fill(schema, 0)
