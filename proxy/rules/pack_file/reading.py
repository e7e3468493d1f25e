"""Reads the parts of a pack that have no fixed keys: conditions, counts, lists, actions, and references by name.

Reads the bare document and skips what has the wrong shape, which the schema reports, so that all problems come at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from proxy.actions import REFUSING, actions
from proxy.actions.base import ActionKind
from proxy.actions.reject import Reject
from proxy.documents.document import Document, Steps
from proxy.documents.problem import Problem, quoted
from proxy.fields import Field, FieldTable
from proxy.rules.conditions.cel_reading import read_cel
from proxy.rules.conditions.condition import Condition
from proxy.rules.conditions.operands import read_lists
from proxy.rules.conditions.reading import ConditionReader
from proxy.rules.reasons import names_in

_REQUESTS = "requests"
_DISTINCT = "distinct "


@dataclass(slots=True)
class Parts:
    """What was read, by the path of the entry; complete only if there are no problems.

    `distinct` are the fields whose values signals count, empty where a signal counts requests.
    """

    conditions: dict[Steps, Condition] = field(default_factory=dict)
    distinct: dict[Steps, str] = field(default_factory=dict)
    actions: dict[Steps, tuple[ActionKind, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_parts(document: Document, table: FieldTable) -> Parts:
    """Return the parts of a pack that have no fixed keys. Raises ConfigurationError as `actions` does."""
    kinds = actions()
    signals = {f"signals.{path[-1]}": Field(f"signals.{path[-1]}", 0, "") for path, _ in document.items(("signals",))}
    lists, wrong = read_lists(document)
    reader = ConditionReader(document, table, signals, lists)
    parts = Parts()
    for path, signal in document.items(("signals",)):
        if isinstance(signal, dict):
            _signal(reader, parts, path, signal)
    for path, rule in document.items(("rules",)):
        if isinstance(rule, dict):
            _rule(reader, parts, path, rule)
    for path, rung in document.items(("ladder",)):
        if isinstance(rung, dict):
            parts.actions[path] = tuple(_actions(reader, kinds, path))
            _client(reader, parts.actions[path], path, rung)
    for path, exemption in document.items(("exemptions",)):
        if isinstance(exemption, dict):
            _exemption(reader, parts, path, exemption)
    parts.problems = [*wrong, *reader.problems]
    return parts


def _signal(reader: ConditionReader, parts: Parts, path: Steps, signal: dict[str, Any]) -> None:
    count = signal.get("count")
    if isinstance(count, str):
        name = count.removeprefix(_DISTINCT) if count.startswith(_DISTINCT) else ""
        if not name and count != _REQUESTS:
            message = "should be requests or distinct FIELD, such as distinct request.model"
            reader.fault((*path, "count"), message, suggestion=reader.near(count, [_REQUESTS]))
        elif name and not isinstance(found := reader.field(name, in_signal=True), Field):
            close = reader.suggestion(name, in_signal=True)
            reader.fault((*path, "count"), found, suggestion=close)
        parts.distinct[path] = name
    if signal.get("where") is not None and (where := reader.read((*path, "where"), in_signal=True)):
        parts.conditions[path] = where


def _rule(reader: ConditionReader, parts: Parts, path: Steps, rule: dict[str, Any]) -> None:
    given = [key for key in ("when", "when_cel") if key in rule]
    if len(given) == 2:
        reader.fault((*path, "when_cel"), "a rule has when or when_cel, not both: make two rules of it", on_key=True)
    if not given:
        reader.fault(path, "the key 'when' is missing here (or when_cel): in which case is the flag raised?")
    if "when" in rule and (when := reader.read((*path, "when"))):
        parts.conditions[path] = when
    if "when_cel" in rule and (expression := read_cel(reader, (*path, "when_cel"))):
        parts.conditions[path] = expression
    reason = rule.get("reason")
    if isinstance(reason, str):
        _reason(reader, (*path, "reason"), reason)


def _reason(reader: ConditionReader, path: Steps, reason: str) -> None:
    try:
        names = list(dict.fromkeys(names_in(reason)))
    except ValueError as error:
        reader.fault(path, str(error))
        return
    for name in names:
        if not isinstance(found := reader.field(name), Field):
            reader.fault(path, found, suggestion=reader.suggestion(name))
        elif found.private:
            reader.fault(path, f"{name} is never written to the log, so no reason can show it")


def _actions(reader: ConditionReader, kinds: dict[str, type[ActionKind]], rung: Steps) -> Iterator[ActionKind]:
    seen: set[str] = set()
    for path, item in reader.document.items((*rung, "do")):
        if not isinstance(item, dict) or len(item) != 1:
            reader.fault(path, "should be one action and how it is done, such as {drop: [logprobs]}")
            continue
        name, value = next(iter(item.items()))
        if name in seen:
            reader.fault((*path, name), f"a second {name} in this rung", on_key=True)
        elif name not in kinds:
            message = f"unknown action {quoted(name)}; there is {', '.join(kinds)}"
            reader.fault((*path, name), message, on_key=True, suggestion=reader.near(name, kinds))
        else:
            try:
                yield kinds[name].read(value)
            except ValueError as error:
                reader.fault((*path, name), str(error))
        seen.add(name)


def _client(reader: ConditionReader, actions: tuple[ActionKind, ...], path: Steps, rung: dict[str, Any]) -> None:
    """Note a rung that refuses without a message, and one that has a message but refuses nobody."""
    items = [item for _, item in reader.document.items((*path, "do"))]
    named = {name for item in items if isinstance(item, dict) for name in item}
    if Reject.name in named and rung.get("client") is None:
        reader.fault(path, "the key 'client' is missing here: what is a caller told when reject refuses it?")
    refuses = not named.isdisjoint(kind.name for kind in REFUSING)
    if not refuses and rung.get("client") is not None and len(actions) == len(items):
        message = "nobody is told this: the rung has neither reject nor challenge in do"
        reader.fault((*path, "client"), message, on_key=True)


def _exemption(reader: ConditionReader, parts: Parts, path: Steps, exemption: dict[str, Any]) -> None:
    if "match" in exemption and (match := reader.read((*path, "match"))):
        parts.conditions[path] = match
    if not exemption.get("rules") and exemption.get("max_rung") is None:
        reader.fault(path, "exempts from nothing: it needs rules, max_rung or both")
    document = reader.document
    rules = [name for rule, _ in document.items(("rules",)) if isinstance(name := document.get((*rule, "id")), str)]
    for inner, name in document.items((*path, "rules")):
        if isinstance(name, str) and name not in rules:
            reader.fault(inner, f"unknown rule {quoted(name)}", suggestion=reader.near(name, rules))
    rungs = [name for rung, _ in document.items(("ladder",)) if isinstance(name := document.get((*rung, "rung")), str)]
    most = exemption.get("max_rung")
    if isinstance(most, str) and most not in rungs:
        reader.fault((*path, "max_rung"), f"unknown rung {quoted(most)}", suggestion=reader.near(most, rungs))
