"""The typed facts about an exchange: what a field is, and the one table of all of them.

The table drives rule conditions, the JSON Schema for editors, `stillgate policy fields`, the author's page and the
decision record's `fields` column. Detectors declare the fields; nothing else adds any.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

Value = bool | int | float | str | tuple[str, ...]
Fields = dict[str, Value]


class Kind(StrEnum):
    """A field's type, in an author's words; it decides which operators apply."""

    BOOLEAN = "boolean"
    NUMBER = "number"
    TEXT = "text"
    LIST = "list"


class Cost(StrEnum):
    """What it takes to know a field for one exchange."""

    FREE = "free"  # already at hand
    TEXT = "text"  # reads the whole prompt once; without a reader it is not taken apart into texts
    STORE = "store"  # may ask the store


class When(StrEnum):
    """When a field is known."""

    REQUEST = "request"  # before anything is decided
    ANSWER = "answer"  # when the exchange has ended: only signals can read it


class Field(NamedTuple):
    """One fact: its dotted name, the value it has when nothing is known, and a sentence for authors.

    The default's type is the field's. `unit` is empty where the number counts something that the name says.
    """

    name: str
    default: Value
    description: str
    cost: Cost = Cost.FREE
    when: When = When.REQUEST
    unit: str = ""
    private: bool = False  # names somebody, or is a client's own text: rules read it, the log never holds it
    among: tuple[str, ...] = ()  # the only texts it can have besides the default; empty: any
    most: float = math.inf  # the largest number it can have

    @property
    def kind(self) -> Kind:
        """The type, by the default."""
        if isinstance(self.default, bool):
            return Kind.BOOLEAN
        if isinstance(self.default, int | float):
            return Kind.NUMBER
        return Kind.TEXT if isinstance(self.default, str) else Kind.LIST


class FieldTable(Mapping[str, Field]):
    """All fields by name, in the order they were declared. Raises ValueError for a name that is declared twice."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self._fields: dict[str, Field] = {}
        for field in fields:
            if field.name in self._fields:
                raise ValueError(f"the field {field.name} is declared twice")
            self._fields[field.name] = field
        self.defaults: Mapping[str, Value] = {field.name: field.default for field in self._fields.values()}

    def __getitem__(self, name: str) -> Field:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)
