"""What is wrong with the sets of patterns beside a pack, and what of the pack no set feeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from proxy.detectors import patterns_beside
from proxy.detectors.content import FED, Content
from proxy.documents.problem import Problem, Severity, YamlProblems
from proxy.errors import ConfigurationError
from proxy.patterns.sets import load_pattern_sets
from proxy.rules.conditions.condition import fields_of
from proxy.rules.pack.pack import Pack


def pattern_problems(file: Path, pack: Pack) -> Iterator[Problem]:
    """Yield the faults of every set beside the pack; if there are none, a warning for each field that nothing feeds."""
    try:
        folder = patterns_beside(file)
        sets = load_pattern_sets(folder) if folder is not None else ()
        Content(sets)
    except YamlProblems as wrong:
        yield from wrong.problems
        return
    except ConfigurationError as wrong:
        yield Problem(str(file.parent / "patterns"), 0, 0, str(wrong))
        return
    for field in sorted((_read(pack) & set(FED)) - {found.field for found in sets}):
        message = f"no set of patterns in {file.parent / 'patterns'} feeds {field}: it keeps its default"
        yield Problem(str(file), 0, 0, message, severity=Severity.WARNING)


def _read(pack: Pack) -> set[str]:
    conditions = [
        *(rule.when for rule in pack.rules),
        *(exemption.match for exemption in pack.exemptions),
        *(signal.where for signal in pack.signals),
    ]
    return {name for condition in conditions for name in fields_of(condition)}
