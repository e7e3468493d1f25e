"""Finds where a pack does not fit the settings that it is to run with, as where it names a model they do not list.

Law: what would fail at a request is an error, which keeps the pack out of force; what would never happen is warned of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from proxy.actions.reroute import Reroute
from proxy.actions.withhold import Withhold
from proxy.documents.document import Document, Steps
from proxy.documents.problem import MAX_PROBLEMS, Problem, Severity, nearest, quoted
from proxy.rules.conditions.condition import Condition, fields_of
from proxy.rules.conditions.operands import OF_PARTS
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Measure, Mode

_MODEL = "request.model"
_OF_RELEASES = frozenset({"request.model_age_days", "account.new_model_day"})


class Offered(NamedTuple):
    """What settings offer that a pack may name.

    `models` are those they list, `priced` says whether any has a price, `dated` whether any has a release date, `links`
    are the variables of messages for which they have a link.
    """

    models: frozenset[str]
    priced: bool = True
    dated: bool = True
    links: frozenset[str] = frozenset()


def find_unlisted(document: Document, offered: Offered) -> Iterator[Problem]:
    """Yield an error for each model that an action of a rung names but the settings do not list."""
    unlisted = ((path, model) for path, model in _used_models(document) if model not in offered.models)
    for path, model in islice(unlisted, MAX_PROBLEMS):  # looking for what was meant takes a while
        message = f"the settings list no model {quoted(model)}"
        yield document.problem(path, message, suggestion=nearest(model, offered.models))


def find_unmet(document: Document, pack: Pack, offered: Offered) -> Iterator[Problem]:
    """Yield warnings about what has no effect with these settings."""
    known = {"", *offered.models}  # empty before the body is read
    unknown = ((path, model) for path, model in _compared_models(document) if model not in known)
    for path, model in islice(unknown, MAX_PROBLEMS):  # as above
        message = f"the settings list no model {quoted(model)}: no request that is judged names it"
        suggestion = nearest(model, offered.models)
        yield document.problem(path, message, suggestion=suggestion, severity=Severity.WARNING)
    for number, quota in enumerate(pack.quotas):
        costs = {limit.measure for limit in quota.limits} == {Measure.COST_USD}
        if costs and not offered.priced and quota.mode is not Mode.OFF:
            message = f"no model of the settings has a price: the quota {quota.id} counts nothing"
            yield document.problem(("quotas", number, "limits"), message, severity=Severity.WARNING)
    for path, condition in _conditions(pack):
        for name in sorted(_OF_RELEASES & {*fields_of(condition)}) if not offered.dated else ():
            message = f"no model of the settings says when it was released: {name} is the same for all"
            yield document.problem(path, message, severity=Severity.WARNING)
    for path, message in _messages(document):
        for name in ("docs_url", "appeal_url"):
            if name not in offered.links and _is_within_a_sentence(name, message):
                said = f"the settings have no {name}: customers read this sentence without it"
                yield document.problem(path, said, severity=Severity.WARNING)


def _used_models(document: Document) -> Iterator[tuple[Steps, str]]:
    """Yield the names of models that actions of rungs use."""
    for rung, _ in document.items(("ladder",)):
        for item, _ in document.items((*rung, "do")):
            for where in ((Reroute.name, "model"), (Withhold.name, "summary", "model")):
                path = (*item, *where)
                if isinstance(model := document.get(path), str):
                    yield path, model


def _compared_models(document: Document) -> Iterator[tuple[Steps, str]]:
    """Yield the whole names of models that conditions compare with; those in named lists with their place there."""
    lists: set[str] = set()
    for path in document.marks:
        if _MODEL not in path or not isinstance(value := document.get(path), str):
            continue
        operator = path[path.index(_MODEL) + 1 :][:1]
        named = value.removeprefix("$")
        if named != value and document.get(("lists", named)) is not None:
            lists.add(named)
        elif operator not in {(part.value,) for part in OF_PARTS}:
            yield path, value
    for name in sorted(lists):
        for path, value in document.items(("lists", name)):
            if isinstance(value, str):
                yield path, value


def _conditions(pack: Pack) -> Iterator[tuple[Steps, Condition]]:
    yield from ((("signals", signal.name), signal.where) for signal in pack.signals)
    yield from ((("rules", number), rule.when) for number, rule in enumerate(pack.rules))
    yield from ((("exemptions", number), exemption.match) for number, exemption in enumerate(pack.exemptions))


def _messages(document: Document) -> Iterator[tuple[Steps, str]]:
    for section in ("quotas", "ladder"):
        for entry, _ in document.items((section,)):
            path: Steps = (*entry, "client", "message")
            message = document.get(path)
            if isinstance(message, str):
                yield path, message


def _is_within_a_sentence(name: str, message: str) -> bool:
    """Tell whether a variable is part of a sentence, or the whole message; one after a sentence may stay empty."""
    said = message.replace("{{", "")
    rest = re.sub(rf"(?:^|[.!?])\s*\{{{name}\}}\s*(?=$|[^\W\d_])", "", said)
    return f"{{{name}}}" in said and (f"{{{name}}}" in rest or not rest.strip())
