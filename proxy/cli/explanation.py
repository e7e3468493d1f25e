"""How an explanation is printed, of a request and of a recorded exchange: lines for people, a tree for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from proxy.rules.engine import Judgement
from proxy.rules.explain import Explained, Explanation, Fate, Outcome, Step, shown
from proxy.rules.pack.pack import Pack

_SIGNS = {Outcome.MET: "+", Outcome.NOT_MET: "-", Outcome.FAILED: "!", Outcome.UNKNOWN: "?"}


def decision_lines(effect: str, by: str, actions: Sequence[str], explanation: Explanation) -> Iterator[str]:
    """Yield what was decided, where that stands on the ladder, what keeps it from standing higher, and what is done."""
    standing, above = explanation.judgement.enforced, explanation.next_rung
    line = f"{effect}, by {by}" if by else effect
    line += f"; score {standing.score}, rung {standing.rung or 'none'}"
    yield f"{line}; {above[1]} more reach {above[0]}" if above else line
    if standing.waiting:
        yield f"waits until a flag is confirmed: {', '.join(standing.waiting)}"
    if explanation.judgement.exempt:
        yield f"exempt, by {', '.join(explanation.judgement.exempt)}"
    if actions:
        yield f"actions: {', '.join(actions)}"


def flag_lines(judgement: Judgement) -> Iterator[str]:
    """Yield the flags that count, and where the shadow world stands if that is elsewhere."""
    for flag in judgement.enforced.flags:
        yield f"flag {flag.name}: {flag.score}, {flag.reason}"
    if judgement.shadow.score != judgement.enforced.score:
        yield f"with rules in shadow: score {judgement.shadow.score}, rung {judgement.shadow.rung or 'none'}"


def rule_lines(explanation: Explanation) -> Iterator[str]:
    """Yield every rule with its conditions and their values, and what one step more would trigger."""
    for explained in explanation.rules:
        yield ""
        yield f"{explained.rule.id} ({explained.mode}): {_fate(explained)}"
        yield from _lines(explained.step, "  ")
    if explanation.near:
        yield ""
        yield "one step more:"
    for near in explanation.near:
        world = "" if near.mode == "enforce" else " in shadow"
        there = f"score {near.score}, rung {near.rung or 'none'}"
        yield f"  {near.says} (it is {shown(near.value)}): {near.rule} fires{world}, {there}"


def _fate(explained: Explained) -> str:
    rule = explained.rule
    match explained.fate:
        case Fate.FIRES:
            return f"fires, {rule.flag.name} on {' and '.join(rule.flag.on)}, score {rule.flag.score}"
        case Fate.SPARED:
            return f"met, and spared by {', '.join(explained.by)}"
        case Fate.EITHER:
            return f"spared by {', '.join(explained.by)}, met or not"
        case Fate.FAILED:
            return "failed, and is skipped" + (f": {', '.join(explained.unknown)} unknown" if explained.unknown else "")
        case fate:
            return str(fate)


def _lines(step: Step, indent: str) -> Iterator[str]:
    yield f"{indent}{_SIGNS[step.outcome]} {step.says}" + (f": {step.why}" if step.why else "")
    for part in step.parts:
        yield from _lines(part, indent + "  ")


def pack_document(pack: Pack) -> dict[str, Any]:
    """Return which pack was asked."""
    return {"name": pack.name, "version": pack.version, "sha256": pack.digest}


def judgement_document(explanation: Explanation) -> dict[str, Any]:
    """Return the judgement and all that explains it."""
    judgement = explanation.judgement
    return {
        "score": judgement.enforced.score,
        "rung": judgement.enforced.rung,
        "shadow": {"score": judgement.shadow.score, "rung": judgement.shadow.rung},
        "flags": {flag.name: flag.score for flag in judgement.enforced.flags},
        "waiting": judgement.enforced.waiting,
        "exempt": judgement.exempt,
        "rules": [
            {
                "id": explained.rule.id,
                "mode": explained.mode,
                "fate": explained.fate,
                "spared_by": explained.by,
                "unknown": explained.unknown,
                "condition": _tree(explained.step),
            }
            for explained in explanation.rules
        ],
        "one_step_more": [near._asdict() for near in explanation.near],
        "next_rung": explanation.next_rung and {"rung": explanation.next_rung[0], "missing": explanation.next_rung[1]},
    }


def _tree(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {"says": step.says, "outcome": step.outcome}
    if step.field:
        found |= {"field": step.field, "value": step.value}
    elif step.why:
        found["why"] = step.why
    if step.parts:
        found["parts"] = [_tree(part) for part in step.parts]
    return found
