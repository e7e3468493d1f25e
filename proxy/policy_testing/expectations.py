"""Compares what became of a send with what a test expects of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from proxy.policy_testing.loading import NONE
from proxy.policy_testing.schema import Expect
from proxy.policy_testing.world import Observed


class Mismatch(NamedTuple):
    """The first expectation that was not met."""

    key: str
    expected: str
    got: str
    hint: str = ""


def compare(expect: Expect, observed: Observed) -> Mismatch | None:
    """Return the first difference, None if there is none; lists are compared without their order."""
    for key, read in _READ.items():
        expected = getattr(expect, key)
        if expected is None:
            continue
        got = read(observed)
        if isinstance(expected, tuple):
            expected, got = sorted(expected), sorted(got)
        if expected != got:
            return Mismatch(key, _shown(expected), _shown(got), _hint(key, expected, got, observed))
    return None


def _hint(key: str, expected: Any, got: Any, observed: Observed) -> str:  # noqa: ANN401 - whatever is compared
    """Say what decided, and what misleads authors most: who fires in the other world, or was mentioned by no step."""
    if key == "effect" and observed.by:
        return f"by {observed.by}"
    others = {"fired": ("shadow_fired", _in_shadow), "shadow_fired": ("fired", _READ["fired"])}
    if key not in others:
        return ""
    other, read = others[key]
    elsewhere = [rule for rule in expected if rule not in got and rule in read(observed)]
    if elsewhere:
        mode = "in shadow" if key == "fired" else "enforced"
        return f"{elsewhere[0]} is {mode} and fires there: it belongs in {other}"
    return "" if expected else "a rule that fires has to be listed"


def _in_shadow(observed: Observed) -> list[str]:
    judgement = observed.judgement
    return [rule for rule in judgement.shadow_fired if rule not in judgement.fired]


# What fires comes first: it explains the others.
_READ: Mapping[str, Callable[[Observed], Any]] = {
    "failed": lambda observed: observed.judgement.failed,
    "fired": lambda observed: observed.judgement.fired,
    "shadow_fired": _in_shadow,
    "score": lambda observed: observed.judgement.enforced.score,
    "flags": lambda observed: [flag.name for flag in observed.judgement.enforced.flags],
    "exempt": lambda observed: observed.judgement.exempt,
    "rung": lambda observed: observed.judgement.enforced.rung or NONE,
    "waiting": lambda observed: observed.judgement.enforced.waiting,
    "effect": lambda observed: observed.effect,
    "by": lambda observed: observed.by,
    "status": lambda observed: observed.status,
    "code": lambda observed: observed.code,
    "actions": lambda observed: observed.actions,
    "shadow_score": lambda observed: observed.judgement.shadow.score,
    "shadow_rung": lambda observed: observed.judgement.shadow.rung or NONE,
    "shadow_waiting": lambda observed: observed.judgement.shadow.waiting,
    "shadow_denied": lambda observed: observed.shadow_denied,
}


def _shown(value: Any) -> str:  # noqa: ANN401 - whatever is compared
    if isinstance(value, list):
        return f"[{', '.join(_texts(value))}]"
    return str(value)


def _texts(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values]
