"""A value that is valid for a JSON schema, chosen by dice.

Laws: every keyword that bounds a value is kept, except `pattern`, `not`, `if` and `unevaluated*`, which are not read:
a string with a `pattern` is valid only through its `enum`, `const`, `default` or `examples`. What would grow without
end, or is larger than a model would write, is refused as the request's fault.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

from proxy.errors import BadRequest
from proxy.standin.prose import Prose

_MOST_VALUES = 2_000
_MOST_CHARS = 10_000
_MOST_DEPTH = 40  # nested schemas; recursive ones end at _SPARSE_DEPTH unless they require themselves
_SPARSE_DEPTH = 4  # from here on only what is required
_SPAN = 100  # how far a number without an upper bound goes above its lower one
_FORMATS = {
    "date-time": "2025-03-14T09:26:53Z", "date": "2025-03-14", "time": "09:26:53Z", "duration": "PT20M",
    "email": "reader@example.com", "hostname": "example.com", "uri": "https://example.com/page",
    "uuid": "5f3a1c9e-7b42-4d18-9a6e-0c2d4e6f8a1b", "ipv4": "192.0.2.7", "ipv6": "2001:db8::7",
}  # fmt: skip

Schema = Mapping[str, Any]


class SchemaFiller:
    """Fills one schema once; the object keeps count of what it has written."""

    def __init__(self, root: object, dice: random.Random, prose: Prose) -> None:
        self._root = root
        self._dice = dice
        self._prose = prose
        self._values = 0

    def fill(self) -> Any:  # noqa: ANN401 - a schema describes any JSON value
        """Return a valid value. Raises BadRequest for a schema that no answer of sane size can satisfy."""
        try:
            return self._value(self._root, 0)
        except OverflowError as error:
            raise BadRequest("The JSON schema bounds a number too far out.", code="invalid_json_schema") from error

    def _value(self, schema: object, depth: int) -> Any:  # noqa: ANN401 - a schema describes any JSON value
        plain = self._plain(schema, depth)
        if "const" in plain:
            return plain["const"]
        for keyword in ("enum", "examples"):
            if isinstance(plain.get(keyword), list) and plain[keyword]:
                return self._dice.choice(plain[keyword])
        if "default" in plain:
            return plain["default"]
        kind = self._type(plain)
        if kind == "object":
            return self._object(plain, depth)
        return self._array(plain, depth) if kind == "array" else self._scalar(kind, plain)

    def _scalar(self, kind: object, schema: Schema) -> str | float | bool | None:
        match kind:
            case "integer":
                return self._integer(schema)
            case "number":
                return self._number(schema)
            case "boolean":
                return self._dice.random() < 0.5
            case "null":
                return None
            case _:
                return self._string(schema)

    def _plain(self, schema: object, depth: int) -> Schema:
        """Return the schema with its reference followed and its alternatives chosen."""
        self._values += 1
        if self._values > _MOST_VALUES or depth > _MOST_DEPTH:
            raise BadRequest("The JSON schema asks for too large a value.", code="invalid_json_schema")
        plain: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else {}
        for _ in range(_MOST_DEPTH):
            if isinstance(reference := plain.pop("$ref", None), str):
                plain = {**self._target(reference), **plain}
            elif isinstance(every := plain.pop("allOf", None), list):
                for part in every:
                    plain = _both(plain, self._plain(part, depth + 1))
            elif options := plain.pop("anyOf", None) or plain.pop("oneOf", None):
                if not isinstance(options, list):
                    continue
                option = min(options, key=_weight) if depth >= _SPARSE_DEPTH else self._dice.choice(options)
                plain = _both(plain, option if isinstance(option, Mapping) else {})
            else:
                return plain
        raise BadRequest("The JSON schema refers to itself without end.", code="invalid_json_schema")

    def _target(self, reference: str) -> Schema:
        target: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            raise BadRequest("The JSON schema has a $ref to nowhere.", code="invalid_json_schema")
        return target

    def _type(self, schema: Schema) -> object:
        kind = schema.get("type")
        if isinstance(kind, list) and kind:
            return self._dice.choice([one for one in kind if one != "null"] or kind)
        if kind is None:
            return "object" if "properties" in schema else "array" if "items" in schema else "string"
        return kind

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = _mapping(schema.get("properties"))
        required = [name for name in _sequence(schema.get("required")) if isinstance(name, str)]
        names = required if depth >= _SPARSE_DEPTH else dict.fromkeys((*properties, *required))
        filled = {name: self._value(properties.get(name), depth + 1) for name in names}
        more = schema.get("additionalProperties", True)
        least = max(_bound(schema, "minProperties"), 1 if isinstance(more, Mapping) and not properties else 0)
        for index in range(least - len(filled)):
            filled[f"entry_{index + 1}"] = self._value(more, depth + 1)
        return filled

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        least = _bound(schema, "minItems")
        most = _bound(schema, "maxItems", otherwise=max(least, 0 if depth >= _SPARSE_DEPTH else 2))
        heads = _sequence(schema.get("prefixItems"))
        items = [self._value(head, depth + 1) for head in heads]
        wanted = max(least, min(most, 2), len(items))
        for _ in range(_MOST_VALUES):
            if len(items) >= wanted:
                break
            item = self._value(schema.get("items"), depth + 1)
            if schema.get("uniqueItems") is not True or item not in items:
                items.append(item)
            elif len(items) >= least:
                break
        return items

    def _integer(self, schema: Schema) -> int:
        low, high = _range(schema, step=1)
        step = _positive(schema.get("multipleOf")) or 1
        first, last = math.ceil(low / step), math.floor(high / step)
        return int(self._dice.randint(first, max(first, last)) * step)

    def _number(self, schema: Schema) -> float:
        step = _positive(schema.get("multipleOf"))
        if step:
            low, high = _range(schema, step=step)
            first, last = math.ceil(low / step), math.floor(high / step)
            return self._dice.randint(first, max(first, last)) * step
        low, high = _range(schema, step=0)
        share = self._dice.uniform(0.25, 0.75)
        value = low * (1 - share) + high * share
        short = round(value, 2)
        return short if low < short < high else value

    def _string(self, schema: Schema) -> str:
        kind = schema.get("format")
        if isinstance(kind, str) and kind in _FORMATS:
            return _FORMATS[kind]
        least, most = _bound(schema, "minLength"), _bound(schema, "maxLength", otherwise=_MOST_CHARS)
        text = self._prose.words(self._dice)
        while len(text) < least:
            text += " " + self._prose.words(self._dice)
        return text[: max(least, most)]


def _both(first: Schema, second: Schema) -> dict[str, Any]:
    """Return what holds when two schemas hold, for the keywords that an `allOf` is used for."""
    merged = {**first, **second}
    if "properties" in first and "properties" in second:
        merged["properties"] = {**_mapping(first["properties"]), **_mapping(second["properties"])}
    if "required" in first and "required" in second:
        merged["required"] = [*_sequence(first["required"]), *_sequence(second["required"])]
    return merged


def _weight(schema: object) -> int:
    """Return how much an alternative would unfold, so that a recursive schema comes to an end."""
    if not isinstance(schema, Mapping) or "$ref" in schema:
        return 3
    return {"object": 2, "array": 1}.get(str(schema.get("type")), 0)


def _mapping(value: object) -> Schema:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _positive(value: object) -> float | None:
    return value if isinstance(value, int | float) and value > 0 else None


def _bound(schema: Schema, name: str, otherwise: int = 0) -> int:
    value = schema.get(name)
    if not isinstance(value, int):
        return otherwise
    if name.startswith("min") and value > _MOST_CHARS:
        raise BadRequest("The JSON schema asks for too large a value.", code="invalid_json_schema")
    return max(value, 0)


def _range(schema: Schema, step: float) -> tuple[float, float]:
    """Return the bounds of a number; exclusive ones are moved in by `step` (0: not; the caller stays inside)."""
    lows = [schema.get("minimum")]
    highs = [schema.get("maximum")]
    for name, bounds, sign in (("exclusiveMinimum", lows, 1), ("exclusiveMaximum", highs, -1)):
        value = schema.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            bounds.append(value + sign * step)
    low = max((bound for bound in lows if isinstance(bound, int | float)), default=None)
    high = min((bound for bound in highs if isinstance(bound, int | float)), default=None)
    if low is None:
        low = 0 if high is None or high >= 0 else high - _SPAN
    return low, low + _SPAN if high is None else max(low, high)
