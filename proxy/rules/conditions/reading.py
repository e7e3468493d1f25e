"""Reads conditions as packs write them: maps of fields and comparisons that nest by `any`, `all` and `not`.

Reads the bare document, so that mistakes in conditions are shown together with all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from proxy.documents.document import Document, Steps
from proxy.documents.problem import MAX_PROBLEMS, Problem, nearest, quoted
from proxy.fields import Field, FieldTable, Kind, When
from proxy.rules.conditions.cel import Expressions
from proxy.rules.conditions.condition import AllOf, AnyOf, Comparison, Condition, Not, Operand, Operator
from proxy.rules.conditions.operands import OPERATORS, leave_room, read_operand

_NESTING = ("any", "all", "not")
_ONLY_AT_THE_END = "is known only when the exchange has ended: count it with a signal"


class ConditionReader:
    """Reads the conditions of one pack; what is wrong with them is added to `problems`."""

    def __init__(
        self, document: Document, table: FieldTable, signals: Mapping[str, Field], lists: Mapping[str, Operand]
    ) -> None:
        self.document = document
        self.lists = lists
        self.expressions = Expressions([name.removeprefix("signals.") for name in signals], lists)
        self.problems: list[Problem] = []
        self._table = table
        self._signals = signals

    def read(self, path: Steps, *, in_signal: bool = False) -> Condition | None:
        """Return the condition at `path`, or None after noting what is wrong with it.

        A signal's condition may read fields that are known only at the end of an exchange, but no signals.
        """
        before = len(self.problems)
        found = self._map(path, in_signal)
        return found if len(self.problems) == before else None

    def field(self, name: str, *, in_signal: bool = False) -> Field | str:
        """Return the field or signal of this name, or a sentence that says why it may not stand here."""
        known = self._table.get(name) or (None if in_signal else self._signals.get(name))
        if known is None:
            if name.startswith("signals."):
                return "a signal cannot read signals" if in_signal else f"unknown signal {quoted(name)}"
            return f"unknown field {quoted(name)}"
        if known.when is When.ANSWER and not in_signal:
            return f"{name} {_ONLY_AT_THE_END}"
        return known

    def suggestion(self, name: str, *, in_signal: bool = False) -> str:
        """Return the field or signal that was probably meant; empty if the name exists."""
        if name in self._table or name in self._signals:
            return ""
        return self.near(name, [*self._table, *_NESTING, *(() if in_signal else self._signals)])

    @property
    def flooded(self) -> bool:
        """Whether there are more problems than will be shown: then costly checks are skipped."""
        return len(self.problems) >= MAX_PROBLEMS

    def near(self, word: object, choices: Iterable[str]) -> str:
        """Return the choice that was probably meant, or an empty text."""
        return "" if self.flooded else nearest(word, choices)

    def fault(self, path: Steps, message: str, *, on_key: bool = False, suggestion: str = "") -> None:
        """Note what is wrong at a path."""
        self.problems.append(self.document.problem(path, message, on_key=on_key, suggestion=suggestion))

    def _map(self, path: Steps, in_signal: bool) -> Condition:
        value = self.document.get(path)
        if not isinstance(value, dict) or not value:
            self.fault(
                path, "should be a map of fields and what they are compared with, such as {request.stream: true}"
            )
            return AllOf(())
        parts: list[Condition] = []
        for name in value:
            parts += self._entry((*path, name), name, in_signal)
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _entry(self, path: Steps, name: str, in_signal: bool) -> Iterator[Condition]:
        match name:
            case "any":
                yield AnyOf(self._parts(path, in_signal))
            case "all":
                yield AllOf(self._parts(path, in_signal))
            case "not":
                yield Not(self._map(path, in_signal))
            case _:
                field = self.field(name, in_signal=in_signal)
                if isinstance(field, Field):
                    yield from self._comparisons(path, field)
                else:
                    self.fault(path, field, on_key=True, suggestion=self.suggestion(name, in_signal=in_signal))

    def _parts(self, path: Steps, in_signal: bool) -> tuple[Condition, ...]:
        value = self.document.get(path)
        if not isinstance(value, list) or not value:
            self.fault(path, "should be a list of conditions")
            return ()
        return tuple(self._map(inner, in_signal) for inner, _ in self.document.items(path))

    def _comparisons(self, path: Steps, field: Field) -> Iterator[Comparison]:
        value = self.document.get(path)
        if not isinstance(value, dict):
            if field.kind is Kind.LIST or isinstance(value, list):
                self.fault(path, _needs_operator(field))
            else:
                yield from self._comparison(path, field, Operator.EQ, value)
            return
        if not value:
            self.fault(path, _needs_operator(field))
        read: list[Comparison] = []
        for name, operand in value.items():
            allowed = OPERATORS[field.kind]
            if name in allowed:
                read += self._comparison((*path, name), field, Operator(name), operand)
                continue
            applying = f"{field.name} is {_KINDS[field.kind]}: there is {_listed(allowed)}"
            known = name in set(Operator)
            message = f"{name} does not apply, {applying}" if known else f"unknown operator {quoted(name)}, {applying}"
            self.fault(
                (*path, name),
                message,
                on_key=True,
                suggestion="" if known else self.near(name, [operator.value for operator in allowed]),
            )
        if not leave_room(read):
            self.fault(path, "nothing meets all of that: no number lies between these bounds")
        yield from read

    def _comparison(self, path: Steps, field: Field, operator: Operator, value: Any) -> Iterator[Comparison]:  # noqa: ANN401 - a value of a YAML file
        if self.flooded:  # a pattern that is too large takes 50 milliseconds
            return
        try:
            yield Comparison(field.name, operator, read_operand(field, operator, value, self.lists))
        except ValueError as error:
            step = getattr(error, "step", None)
            here = path if step is None else (*path, step)
            self.fault(here, str(error), suggestion=getattr(error, "suggestion", ""))


_KINDS = {Kind.BOOLEAN: "true or false", Kind.NUMBER: "a number", Kind.TEXT: "text", Kind.LIST: "a list"}


def _needs_operator(field: Field) -> str:
    listed = {Kind.LIST: "has, any_of or size_gte, such as {has: x}", Kind.TEXT: "in, such as {in: [a, b]}"}
    wanted = listed.get(field.kind, _listed(OPERATORS[field.kind]))
    return f"should be compared by {wanted}: {field.name} is {_KINDS[field.kind]}"


def _listed(names: tuple[Operator, ...]) -> str:
    words = [str(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
