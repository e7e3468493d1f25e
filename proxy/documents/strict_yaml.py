"""Reads one YAML document into plain values, with a place for each of them.

Laws:
- The only file that imports yaml, and only its event parser: values are made here, so nothing in a file can run code.
- Scalars mean what YAML 1.2's core schema says: `on`, `yes`, `1:30` and `2026-01-01` are text.
- Tags, anchors, aliases, merge keys, duplicate keys, keys that are not text, directives and a second document are
  refused, all faults in one pass; only a fault of encoding or syntax, or a bound that is exceeded, ends it.
- Size, depth and the number of values are bounded before anything is built.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from proxy.documents.document import Document, Mark, Place, Steps, Value
from proxy.documents.problem import Problem, Unreadable, YamlProblems, in_order, quoted

_MAX_BYTES = 1 << 20
_MAX_DEPTH = 32
# A megabyte of real packs has half as many; this bounds the memory for the places.
_MAX_VALUES = 100_000
# Enough for 64 bits in any notation; int() of thousands of digits takes quadratic time.
_MAX_NUMBER_CHARS = 40

# libyaml breaks lines at these, and its marks count by them.
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_ODD_INDENT = re.compile(r"^ *([^\S \t\r\n\x85\u2028\u2029])", re.MULTILINE)  # as text copied from pages and chats has
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")

_CONSTANTS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DIGIT_AND_COMMA = re.compile("[0-9],")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def read(path: Path) -> bytes:
    """Read a file's bytes, no more than `parse` needs to tell it is too large; raises Unreadable."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable([Problem(str(path), 0, 0, f"cannot be read: {error.strerror}")]) from None


def parse(data: bytes, file: str) -> Document:
    """Read a document from its bytes; `file` is the name that problems carry.

    Raises YamlProblems for what ends the reading; anything else that is wrong is in the document's `problems`.
    """
    if len(data) > _MAX_BYTES:
        raise YamlProblems([Problem(file, 0, 0, f"is larger than {_MAX_BYTES >> 20} MiB")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        raise YamlProblems([_problem_at(len(before), file, before, "not UTF-8 from here on")]) from None
    if forbidden := _FORBIDDEN.search(text):
        raise YamlProblems([_problem_at(forbidden.start(), file, text, "a control character is not allowed")])
    reader = _Reader(file, text)
    value = reader.document()
    return Document(value, reader.marks, file, reader.lines, tuple(reader.problems))


def core_scalar(text: str) -> Value:
    """Return what a plain scalar means in YAML 1.2's core schema; ValueError for a number that cannot be used."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    whole, based = _WHOLE.fullmatch(text), _OCTAL_OR_HEX.fullmatch(text)
    if not (whole or based or _FLOAT.fullmatch(text)):
        return text
    if len(text) > _MAX_NUMBER_CHARS:
        raise ValueError("this number is too long")
    if whole or based:
        return int(text, 0) if based else int(text)
    if text[-1].isalpha() or not math.isfinite(number := float(text)):  # .inf, .nan, 1e999
        raise ValueError("a number must be finite")
    return number


class _Bound(Exception):
    def __init__(self, event: yaml.Event, message: str) -> None:
        super().__init__(message)
        self.problem_mark = event.start_mark
        self.problem = message


class _Reader:
    """Builds the values of one document from parser events."""

    def __init__(self, file: str, text: str) -> None:
        self.marks: dict[Steps, Place] = {}
        self.problems: list[Problem] = []
        self.lines = tuple(_LINE_BREAK.split(text))
        self._file = file
        self._text = text
        # The C parser is ten times faster than the Python one, with the same start marks and sound escape errors.
        self._events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=yaml.CSafeLoader))

    def document(self) -> Value:
        """Return the document's value, None for an empty one; raises YamlProblems where reading cannot go on."""
        try:
            return self._document()
        except (yaml.MarkedYAMLError, _Bound) as error:
            offset = error.problem_mark.index if error.problem_mark else 0
            message = str(error.problem)
            if self._text[offset : offset + 1] == "\t":
                message = "tabs cannot indent: use spaces"
            elif odd := _ODD_INDENT.search(self._text, self._line_before(offset), offset + 1):
                offset, message = odd.start(1), "a no-break space or the like cannot indent: use spaces"
            elif isinstance(error, yaml.MarkedYAMLError) and error.context and error.context_mark:
                message += f", {error.context} that begins on line {error.context_mark.line + 1}"
            last = _problem_at(offset, self._file, self._text, message)
            raise YamlProblems(in_order([*self.problems, last])) from None

    def _line_before(self, offset: int) -> int:
        """Return where the line before an offset's line begins, which may be what causes the fault."""
        return self._text.rfind("\n", 0, max(self._text.rfind("\n", 0, offset), 0)) + 1

    def _document(self) -> Value:
        value: Value = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if event.version or event.tags:
                    self._fault(event, "directives are not allowed")
                if self.marks:
                    raise _Bound(event, "a second document is not allowed: one file, one document")
                value = self._value((), None, next(self._events))
        self.marks.setdefault((), Place(None, Mark(1, 1)))
        return value

    def _value(self, path: Steps, key: Mark | None, event: yaml.Event) -> Value:
        """Build the value that begins with `event`, and note its place."""
        if len(path) > _MAX_DEPTH:
            raise _Bound(event, f"nested deeper than {_MAX_DEPTH} levels")
        if len(self.marks) >= _MAX_VALUES:
            raise _Bound(event, f"more than {_MAX_VALUES} values")
        self.marks[path] = Place(key, _mark(event))
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            is_alias = isinstance(event, yaml.AliasEvent)
            self._fault(event, "aliases are not allowed: write it in full" if is_alias else "anchors are not allowed")
        if isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent) and event.tag is not None:
            self._fault(event, "tags are not allowed")
        if isinstance(event, yaml.MappingStartEvent):
            return self._map(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        return self._scalar(event) if isinstance(event, yaml.ScalarEvent) else None

    def _list(self, path: Steps) -> list[Value]:
        found: list[Value] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value((*path, len(found)), None, event))
        return found

    def _map(self, path: Steps) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(path, event, found)
            if key is None:
                self._value((*path, -1), _mark(event), next(self._events))  # for its own problems only
            else:
                found[key] = self._value((*path, key), _mark(event), next(self._events))
        return found

    def _key(self, path: Steps, event: yaml.Event, found: Mapping[str, Value]) -> str | None:
        """Return a key that may be used; None after noting why it may not."""
        faults = len(self.problems)
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and not event.style:
            self._fault(event, "merge keys are not allowed: write the keys out")
            return None
        key = self._value((*path, -1), None, event)
        del self.marks[*path, -1]
        if len(self.problems) > faults:
            return None
        if not isinstance(key, str):
            at = event.start_mark.index if event.start_mark else 0
            if _DIGIT_AND_COMMA.fullmatch(self._text, max(at - 2, 0), at):  # the rest of a number in a one-line map
                self._fault(event, "numbers have no commas: write 1000 for 1,000 and 0.8 for 0,8")
                return None
            quotable = isinstance(event, yaml.ScalarEvent)
            self._fault(event, "a key must be text" + (": put it in quotes" if quotable else ""))
            return None
        if key in found and (first := self.marks[*path, key].key):
            self._fault(event, f"duplicate key {quoted(key)}, first on line {first.line}")
            return None
        return key

    def _scalar(self, event: yaml.ScalarEvent) -> Value:
        """Return a scalar's value; what is quoted, a block or tagged is text."""
        if not event.implicit[0] or event.style:
            if _FORBIDDEN.search(event.value):
                self._fault(event, "a control character is not allowed, not even escaped")
            return event.value
        try:
            return core_scalar(event.value)
        except ValueError as error:
            self._fault(event, str(error))
            return None

    def _fault(self, event: yaml.Event, message: str) -> None:
        mark = _mark(event)
        self.problems.append(Problem(self._file, *mark, message, source=self.lines[mark.line - 1]))


def _mark(event: yaml.Event) -> Mark:
    """Return where an event starts; the parser always says."""
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1) if event.start_mark else Mark(1, 1)


def _problem_at(offset: int, file: str, text: str, message: str) -> Problem:
    """Return a problem at an offset of the text."""
    before = _LINE_BREAK.split(text[:offset])
    rest = _LINE_BREAK.split(text[offset : offset + 1000], maxsplit=1)[0]
    return Problem(file, len(before), len(before[-1]) + 1, message, source=before[-1] + rest)
