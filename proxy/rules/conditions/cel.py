"""Conditions in CEL: the only file that imports its engine, which the extra `stillgate[cel]` brings.

Laws:
- The language has no loops here: every macro is off, and nothing can join texts or lists. So an expression takes time
  in proportion to its length and its fields, and its length and depth are bounded.
- An expression can read fields, signals and lists only, never a prompt.
- The engine returns its run-time errors as if they were values: only `True` and `False` themselves are answers.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import product
from typing import Any

from proxy.detectors import field_table
from proxy.fields import Field, Kind, When
from proxy.rules.conditions.cel_names import calls, quoted_names, references
from proxy.rules.conditions.condition import Operand

MAX_SOURCE_CHARS = 4_000
_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_CONTAINER = re.compile(r" \(in container '.*'\)$")

# Left out, as they would make an expression cost more than its length, or get round its types: loops, another engine's
# patterns, the test for presence, which every field passes, and `dyn`, which hides a type.
_LOOPS = ("all", "exists", "exists_one", "filter", "has", "map")
_FUNCTIONS = ("matches", "dyn")
_GROWING = ("add_string", "add_bytes", "add_list")
# The standard comparisons do not compare whole numbers with other numbers: all are declared anew.
_COMPARISONS = ("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in")
_LIBRARY = json.dumps(
    {
        "stdlib": {
            "exclude_macros": _LOOPS,
            "exclude_functions": [
                *({"name": name} for name in (*_FUNCTIONS, *_COMPARISONS)),
                {"name": "_+_", "overloads": [{"id": name} for name in _GROWING]},
            ],
        }
    }
)
# Larger whole numbers are given as this: a body's may have 64 unsigned bits, but the engine's are 64 bits signed, and
# what an expression computes from one must fit too.
_MOST_WHOLE = 2**53
_OVERLOAD = re.compile(r"found no matching overload for '_?(.+?)_?' applied to '\((.*)\)'")


class ConditionFailed(Exception):
    """An expression came to something other than true and false."""


class BadExpression(ValueError):
    """An expression that cannot be used; line and column count from 1, and are 0 if it is wrong as a whole."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class Givens:
    """What one pack's expressions are given: fields, signals and lists, converted once an exchange for all of them."""

    def __init__(self, environment: Any, lists: Mapping[str, Any]) -> None:  # noqa: ANN401 - the engine has no types
        self.compile: Callable[[str], Any] = environment.compile
        self._make = environment.Activation
        self._lists = lists
        self._kinds: dict[str, type] = {}
        self._fields: Mapping[str, Any] | None = None
        self._activation: Any = None

    def read(self, kinds: Mapping[str, type]) -> None:
        """Give these fields, too, from now on: one more expression reads them."""
        self._kinds.update(kinds)

    def put_up(self, fields: Mapping[str, Any]) -> None:
        """Convert an exchange's fields as they are now, for all who ask about the same object until the next call.

        If that fails, the error comes up when an expression is evaluated.
        """
        self._fields, self._activation = None, None
        with contextlib.suppress(Exception):
            self._activation = self.of(fields)
            self._fields = fields

    def of(self, fields: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the engine has no types that are there without it
        """Return the engine's view of an exchange's fields."""
        if fields is self._fields:
            return self._activation
        return self._make(
            data={**self._lists, **{name: _given(fields[name], kind) for name, kind in self._kinds.items()}}
        )

    def value(self, evaluate: Callable[..., Any], fields: Mapping[str, Any]) -> object:
        """Return the value of an expression, which may be one of the engine's errors. Raises ConditionFailed."""
        try:
            return evaluate(activation=self.of(fields)).value()
        except Exception as error:  # noqa: BLE001 - whatever the engine raises, the condition failed
            raise ConditionFailed(str(error)) from None


class CelCondition:
    """A compiled expression; `source` is its text as the engine takes it."""

    def __init__(self, source: str, evaluate: Callable[..., Any], givens: Givens, expressions: Expressions) -> None:
        self.source = source
        self.givens = givens
        self._evaluate = evaluate
        self._expressions = expressions

    def __call__(self, fields: Mapping[str, Any]) -> bool:
        """Tell whether the expression is true. Raises ConditionFailed for anything but true and false."""
        found = self.givens.value(self._evaluate, fields)
        if found is True:
            return True
        if found is False:
            return False
        raise ConditionFailed(str(found))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the source: another process must compile it again, with the other expressions of its pack."""
        return Expressions.compile, (self._expressions, self.source)


class Expressions:
    """The engine, with every field, signal and list that the expressions of one pack may name.

    It is set up when the first expression is compiled, in a millisecond; each expression takes a tenth of that.
    """

    def __init__(self, signals: Iterable[str], lists: Mapping[str, Operand]) -> None:
        fields = [field for field in field_table().values() if field.when is When.REQUEST]
        fields += [Field(f"signals.{name}", 0, "") for name in signals]
        self._fields = {field.name: field for field in fields}
        self._lists = {f"lists.{name}": _sound_list(items) for name, items in lists.items()}

    def compile(self, source: str) -> CelCondition:
        """Compile an expression. Raises BadExpression if it is wrong or the extra is missing."""
        if len(source) > MAX_SOURCE_CHARS:
            raise BadExpression(f"is longer than {MAX_SOURCE_CHARS:,} characters")
        for call in calls(source):
            if call.name in (*_LOOPS, *_FUNCTIONS):
                raise BadExpression(f"{call.name} cannot be used here", call.line, call.column)
        for quote in quoted_names(source):
            raise BadExpression("names are written without backquotes", quote.line, quote.column)
        types, environment = self._engine
        sound = _sound(source)
        try:
            expression = environment.compile(sound)
        except Exception as error:  # noqa: BLE001 - whatever the engine raises, the expression cannot be used
            raise _bad(str(error)) from None
        if expression.return_type() != types.BOOL:
            raise BadExpression("should come to true or false, such as a comparison")
        named = dict.fromkeys(reference.name for reference in references(source))
        kinds = {name: type(self._fields[name].default) for name in named if name in self._fields}
        self._givens.read(kinds)
        return CelCondition(sound, expression.eval, self._givens, self)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the engine."""
        return {"_fields": self._fields, "_lists": self._lists}

    @cached_property
    def _givens(self) -> Givens:
        _, environment = self._engine
        return Givens(environment, self._lists)

    @cached_property
    def _engine(self) -> tuple[Any, Any]:
        try:
            engine = importlib.import_module("cel_expr_python.cel")
        except ImportError:
            raise BadExpression("needs the engine for CEL: install stillgate[cel]") from None
        types = engine.Type
        variables = {name: _type(types, field) for name, field in self._fields.items()}
        for name, items in self._lists.items():
            variables[name] = types.List(types.STRING if isinstance(items[0], str) else types.DOUBLE)
        config = engine.NewEnvConfigFromYaml(_LIBRARY)
        return types, engine.NewEnv(config=config, variables=variables, functions=_comparisons(engine))


def compile_cel(source: str, lists: Mapping[str, Operand] | None = None) -> CelCondition:
    """Compile one expression; it may name any signal and these `lists`, given without the prefix `lists.`.

    Raises BadExpression, in words for its author, if the expression is wrong or the extra is missing.
    """
    named = (reference.name.partition(".") for reference in references(source))
    signals = dict.fromkeys(name for space, _, name in named if space == "signals" and "." not in name)
    return Expressions(signals, lists or {}).compile(source)


def _sound_list(items: Operand) -> list[Any]:
    """Return a list's values as the engine takes them; a wrong list is empty and counts as one of texts."""
    several = items if isinstance(items, tuple) else ()
    return [_sound(item) if isinstance(item, str) else float(item) for item in several] or [""]


def _type(types: Any, field: Field) -> Any:  # noqa: ANN401 - the engine has no types that are there without it
    match field.kind:
        case Kind.BOOLEAN:
            return types.BOOL
        case Kind.TEXT:
            return types.STRING
        case Kind.LIST:
            return types.List(types.STRING)
        case Kind.NUMBER:
            return types.DOUBLE if isinstance(field.default, float) else types.INT


def _comparisons(engine: Any) -> list[Any]:  # noqa: ANN401 - as above
    """Declare comparisons for all types of fields; the engine has the code for them."""
    types, overload = engine.Type, engine.Overload
    numbers = list(product((types.INT, types.DOUBLE), repeat=2))
    texts, lists = (types.STRING, types.STRING), types.List(types.STRING)
    declared = dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_"), numbers)
    equal = [*numbers, texts, (types.BOOL, types.BOOL), (lists, lists)]
    declared |= {"_==_": equal, "_!=_": equal}
    declared["@in"] = [(left, types.List(right)) for left, right in (*numbers, texts)]
    return [
        engine.FunctionDecl(
            name, [overload(f"{name}{number}", types.BOOL, list(pair)) for number, pair in enumerate(pairs)]
        )
        for name, pairs in declared.items()
    ]


def _given(value: Any, kind: type) -> Any:  # noqa: ANN401 - a field's value
    """Return a value as the engine takes it."""
    if kind is str:
        return _sound(value)
    if kind is tuple:
        return [_sound(item) for item in value]
    if kind is int:
        return max(-_MOST_WHOLE, min(int(value), _MOST_WHOLE))
    return kind(value)


def _sound(text: str) -> str:
    """Replace halves of surrogate pairs, which the engine cannot take."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _bad(message: str) -> BadExpression:
    """Put the engine's first error into an author's words."""
    found = _ERROR.search(message)
    if not found:
        deep = "recursion limit" in message
        return BadExpression(
            "is nested too deep" if deep else f"cannot be used: {message.rpartition(' [')[0] or message}"
        )
    words = _CONTAINER.sub("", found[3].removesuffix(" [INVALID_ARGUMENT]")).partition(" expecting {")[0]
    if overload := _OVERLOAD.fullmatch(words):
        words = f"{overload[1].removeprefix('@')} does not apply to ({overload[2]})"
    return BadExpression(words.replace("'<EOF>'", "the end"), int(found[1]), int(found[2]))
