"""The columns of the log as a table has them: their types, and what makes a row one of the log's.

Law: every column of `proxy.decisions.columns` is there, in its order, so that a file that was exported can be read by
what comes later.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

from proxy.decision import Effect
from proxy.decisions.columns import ADMIN, EXCHANGE, HEAD, LINK, NOTICES, SCHEMA, Column

_SCALARS: Final = {"integer": "BIGINT", "string": "VARCHAR", "array": "VARCHAR[]", "boolean": "BOOLEAN"}
_UNITS: Final = "MAP(VARCHAR, BIGINT)"
_OBJECTS: Final = {
    "shadow": 'STRUCT("rung" VARCHAR, "score" BIGINT, "fired" VARCHAR[], "denied_by" VARCHAR[])',
    "ties": 'STRUCT("template" VARCHAR, "cluster" VARCHAR, "shadow_template" VARCHAR, "shadow_cluster" VARCHAR)',
    "usage": 'STRUCT("input" BIGINT, "output" BIGINT, "source" VARCHAR)',
    "ms": 'STRUCT("total" DOUBLE, "decide" DOUBLE, "first_byte" DOUBLE, "upstream" DOUBLE)',
    "reserved": _UNITS,
    "settled": _UNITS,
    "helper": _UNITS,
}
_TIME: Final = "time"
KNOWN_BY: Final = ("v", "kind", _TIME, "effect")  # what a row is recognised by
_EFFECTS: Final = ", ".join(f"'{effect}'" for effect in Effect)

# Of a row as it was read; whether it is one of the log's.
IS_RECORD: Final = (
    f'"v" = {SCHEMA} AND "kind" IS NOT NULL AND "time" IS NOT NULL'
    f' AND ("kind" <> \'exchange\' OR coalesce("effect" IN ({_EFFECTS}), false))'
)


def _type(column: Column) -> str:
    return _SCALARS.get(column.type) or _OBJECTS.get(column.name, "JSON")


def _columns() -> dict[str, str]:
    found: dict[str, str] = {}
    for column in chain(HEAD, EXCHANGE, *NOTICES.values(), ADMIN, LINK):
        if found.setdefault(column.name, _type(column)) != _type(column):
            found[column.name] = "VARCHAR"  # lines of two kinds use one name for two things
    return found


AS_READ: Final = _columns()
COLUMNS: Final = {**AS_READ, _TIME: "TIMESTAMP"}


def stored(name: str) -> str:
    """Return the expression that turns a column as it is read from a line into the table's; what is no time is null."""
    return f'try_cast("{name}" AS TIMESTAMP) AS "{name}"' if name == _TIME else f'"{name}"'
