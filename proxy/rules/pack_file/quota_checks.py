"""Checks of quotas that a schema cannot make: which limits contradict, repeat or outdo each other.

`find_faults` reads the bare document and skips what has the wrong shape, so that its errors are shown with all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import NamedTuple

from proxy.documents.document import Document, Steps
from proxy.documents.problem import Problem, Severity
from proxy.rules.pack.pack import Limit, Pack, Quota
from proxy.rules.pack.units import units, window_ms, window_text
from proxy.rules.pack.words import Measure, Mode, Scope
from proxy.store.base import SLOTS

# Each scope, with itself and the wider scopes that count all of its exchanges, too.
_WITHIN = {
    Scope.KEY: (Scope.KEY, Scope.ACCOUNT, Scope.TENANT, Scope.GLOBAL),
    Scope.ACCOUNT: (Scope.ACCOUNT, Scope.GLOBAL),
    Scope.TENANT: (Scope.TENANT, Scope.GLOBAL),
    Scope.TEMPLATE: (Scope.TEMPLATE, Scope.GLOBAL),
    Scope.CLUSTER: (Scope.CLUSTER, Scope.GLOBAL),
    Scope.MODEL: (Scope.MODEL, Scope.GLOBAL),
    Scope.GLOBAL: (Scope.GLOBAL,),
}
_TOKENS = (Measure.INPUT_TOKENS, Measure.OUTPUT_TOKENS)


def find_faults(document: Document) -> Iterator[Problem]:
    """Yield the errors in quotas: repeated limits, and windows and amounts that do not fit the measure."""
    for path, _ in document.items(("quotas",)):
        yield from _limit_faults(document, (*path, "limits"))


def _limit_faults(document: Document, limits: Steps) -> Iterator[Problem]:
    seen: set[tuple[Measure, int]] = set()
    for path, limit in document.items(limits):
        text = document.get((*path, "measure"))
        if not isinstance(limit, dict) or not isinstance(text, str) or text not in set(Measure):
            continue
        measure = Measure(text)
        if measure is Measure.CONCURRENCY and "window" in limit:
            yield document.problem((*path, "window"), "concurrency has no window: it counts what runs now", on_key=True)
        if measure is not Measure.CONCURRENCY and "window" not in limit:
            yield document.problem(path, "the key 'window' is missing here: over which time is it counted, such as 1m?")
        if limit.get("max") is not None:
            try:
                units(limit["max"], measure)
            except ValueError as error:
                yield document.problem((*path, "max"), str(error))
        with suppress(ValueError):
            window = window_ms(limit["window"]) if "window" in limit else 0
            if (measure, window) in seen:
                message = f"a second limit on {_named(measure, window)} in this quota"
                yield document.problem((*path, "measure"), message)
            seen.add((measure, window))


class _Placed(NamedTuple):
    quota: Quota
    limit: Limit
    path: Steps


def find_unreachable(document: Document, pack: Pack) -> Iterator[Problem]:
    """Yield warnings about a pack that does nothing, and about limits that another one keeps from being reached."""
    modes = [
        *(quota.mode for quota in pack.quotas),
        *(rule.mode for rule in pack.rules),
        *(campaign.mode for campaign in pack.campaigns),
    ]
    if all(mode is Mode.OFF for mode in modes):
        message = "nothing is counted: no quota is on" if not pack.rules else "nothing is on: no quota and no rule"
        yield document.problem(("metadata",), message, severity=Severity.WARNING)
    placed = [
        _Placed(quota, limit, ("quotas", number, "limits", index))
        for number, quota in enumerate(pack.quotas)
        for index, limit in enumerate(quota.limits)
        if quota.mode is not Mode.OFF
    ]
    warned: set[Steps] = set()
    for loose, tight in product(placed, placed):
        if loose.path in warned or not _outdoes(tight, loose):
            continue
        if loose.path < tight.path and _outdoes(loose, tight):  # of two equal ones, warn of the second
            continue
        warned.add(loose.path)
        line = document.marks[tight.path].value.line
        what = _named(tight.limit.measure, tight.limit.window_ms)
        message = f"can never be reached: line {line} (quota {tight.quota.id}) allows no more {what}"
        yield document.problem(loose.path, message, severity=Severity.WARNING)


def _outdoes(tight: _Placed, loose: _Placed) -> bool:
    """Tell whether `tight` keeps `loose` from being reached, whatever the traffic."""
    if tight.quota.mode is not Mode.ENFORCE or tight.limit.max > loose.limit.max or tight.path == loose.path:
        return False
    same = tight.limit.measure is loose.limit.measure
    part = tight.limit.measure is Measure.TOTAL_TOKENS and loose.limit.measure in _TOKENS
    # A window may count up to one slot longer than it is, and must lie within the other even so.
    tight_ms, loose_ms = tight.limit.window_ms, loose.limit.window_ms
    within_time = tight_ms == loose_ms or tight_ms * SLOTS >= loose_ms * (SLOTS + 1)
    return (same or part) and within_time and tight.quota.per in _WITHIN[loose.quota.per]


def _named(measure: Measure, window: int) -> str:
    return f"{measure} per {window_text(window)}" if window else str(measure)
