"""What a condition or a signal means, apart from names and the order of parts: for digests and comparisons."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from proxy.rules.conditions.condition import AllOf, AnyOf, Cel, Comparison, Condition, Not
from proxy.rules.pack.words import Scope


def canonical(condition: Condition) -> list[Any]:
    """Return a condition as nested lists; conditions that differ only in the order of parts give equal ones."""
    match condition:
        case Comparison(field, operator, operand):
            if not isinstance(operand, tuple):
                return ["test", field, str(operator), _plain(operand)]
            return ["test", field, str(operator), sorted({_plain(item) for item in operand}, key=repr)]
        case Not(part):
            return ["not", canonical(part)]
        case AllOf(parts):
            return ["all", *sorted((canonical(part) for part in parts), key=json.dumps)]
        case AnyOf(parts):
            return ["any", *sorted((canonical(part) for part in parts), key=json.dumps)]
        case Cel(source, lists):
            return ["cel", source.strip(), sorted((name, sorted(items, key=repr)) for name, items in _tuples(lists))]


def signal_digest(distinct: str, per: Scope, window_ms: int, where: Condition) -> str:
    """Return the digest that names a signal's definition: its counter goes on while the digest stays the same."""
    definition = json.dumps([distinct, per, window_ms, canonical(where)], separators=(",", ":"))
    return hashlib.blake2b(definition.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:  # noqa: ANN401 - one value of an operand
    """Return a whole number as an integer: 5.0 means the same as 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _tuples(lists: tuple[tuple[str, Any], ...]) -> list[tuple[str, tuple[Any, ...]]]:
    return [(name, items) for name, items in lists if isinstance(items, tuple)]
