"""The JSON Schema of packs, for editors: the models' own, completed by the tables of fields, operators and actions.

It knows the shape and all fixed names; whether a name refers to something in the pack, only `policy check` tells.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from proxy.actions import actions
from proxy.fields import Field, FieldTable, Kind, When
from proxy.rules.conditions.condition import Operator
from proxy.rules.conditions.operands import OF_PARTS, OPERATORS
from proxy.rules.pack_file.schema import PackFile

Schema = dict[str, Any]

_TYPES = {Kind.BOOLEAN: "boolean", Kind.NUMBER: "number", Kind.TEXT: "string", Kind.LIST: "string"}
_LIST_NAME = {
    "type": "string",
    "pattern": "^\\$[a-z][a-z0-9_]*$",
    "description": "The name of one of the pack's lists.",
}


def pack_json_schema(table: FieldTable) -> Schema:
    """Return the schema of a pack."""
    schema: Schema = _completed(PackFile.model_json_schema())
    early = [field for field in table.values() if field.when is When.REQUEST]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "A policy pack of Stillgate"
    schema["$defs"] |= {
        "Condition": _condition(early, "Condition", signals=True),
        "SignalCondition": _condition(table.values(), "SignalCondition", signals=False),
        "Count": {"enum": ["requests", *(f"distinct {name}" for name in table)]},
        "Action": _action(),
        "Values": {
            "oneOf": [{"type": "array", "minItems": 1, "items": {"type": kind}} for kind in ("string", "number")],
            "description": "Texts or numbers.",
        },
    }
    schema["$defs"]["RuleEntry"]["oneOf"] = [{"required": ["when"]}, {"required": ["when_cel"]}]
    return schema


def _completed(part: Any) -> Any:  # noqa: ANN401 - a part of a JSON document
    """Return a schema with its open places replaced by references to what completes them."""
    if isinstance(part, dict):
        if name := part.get("x-completed"):
            rest = {key: value for key, value in part.items() if key not in ("x-completed", "default", "title")}
            return {**rest, "$ref": f"#/$defs/{name}"}
        return {key: _completed(value) for key, value in part.items()}
    return [_completed(item) for item in part] if isinstance(part, list) else part


def _condition(fields: Iterable[Field], name: str, *, signals: bool) -> Schema:
    own = {"$ref": f"#/$defs/{name}"}
    several = {"type": "array", "minItems": 1, "items": own}
    schema: Schema = {
        "type": "object",
        "description": "Fields and what they are compared with: all of it must hold.",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {
            "any": {**several, "description": "One of these must hold."},
            "all": {**several, "description": "All of these must hold."},
            "not": {**own, "description": "This must not hold."},
            **{field.name: _compared(field) for field in fields},
        },
    }
    if signals:
        schema["patternProperties"] = {"^signals\\.[a-z][a-z0-9_]*$": _compared(Field("", 0, "A signal's count."))}
    return schema


def _compared(field: Field) -> Schema:
    """Return the schema of what may follow a field's name."""
    operators = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {operator.value: _operand(field, operator) for operator in OPERATORS[field.kind]},
    }
    unit = f" In {field.unit}." if field.unit else ""
    described = {"description": f"{field.description}{unit}"}
    if field.kind is Kind.LIST:
        return {**operators, **described}
    return {"anyOf": [_one(field), operators], **described}


def _one(field: Field) -> Schema:
    """Return the schema of one value that a field may have."""
    one: Schema = {"type": _TYPES[field.kind]}
    if field.among:
        one["enum"] = [*field.among] if field.kind is Kind.LIST else [field.default, *field.among]
    if field.most < math.inf:
        one["maximum"] = field.most
    return one


def _operand(field: Field, operator: Operator) -> Schema:
    one = {"type": _TYPES[field.kind]} if operator in OF_PARTS else _one(field)
    match operator:
        case Operator.IN | Operator.NOT_IN | Operator.ANY_OF:
            return {"anyOf": [{"type": "array", "minItems": 1, "items": one}, _LIST_NAME]}
        case Operator.SIZE_GTE:
            return {"type": "integer", "minimum": 1}
        case _:
            return one


def _action() -> Schema:
    """Return the schema of one item of `do`; each action checks its own parameters."""
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {
            kind.name: {"description": " ".join([kind.summary, *_parameters(kind.parameters)])}
            for kind in actions().values()
        },
    }


def _parameters(parameters: dict[str, str]) -> list[str]:
    return [f"{name}: {meaning}" for name, meaning in parameters.items()]
