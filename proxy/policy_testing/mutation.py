"""Finds the numbers of a pack that no case pins: a nudge of them that every case passes.

Law: a case is left out for a nudge only if nothing that was seen in it could have come out otherwise; up to the first
difference both runs are the same, so the whole of them is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from proxy.fields import FieldTable, When
from proxy.policy_testing.running import Case, Runner
from proxy.policy_testing.world import Observed
from proxy.rules.conditions.compiling import compile_condition
from proxy.rules.conditions.condition import Comparison
from proxy.rules.mutate import Mutant, mutants
from proxy.rules.pack.pack import Campaign, Limit, Pack, Quota, Rule, Rung, Signal
from proxy.rules.pack.words import Approval

Progress = Callable[[int, int, str], None]  # done, of how many, what is tried


class Unpinned(NamedTuple):
    """A number, and the other values with which every case passes too."""

    number: str
    values: tuple[str, ...]

    def sentence(self) -> str:
        """Return it as one line."""
        return f"{self.number}: no case fails with {' or '.join(self.values)}"


@dataclass(slots=True)
class _Seen:
    """What one case showed."""

    case: Case
    sends: int = 0
    values: defaultdict[str, set[Any]] = field(default_factory=lambda: defaultdict(set))
    rules: set[str] = field(default_factory=set)
    quotas: set[str] = field(default_factory=set)
    refused_by: set[Limit] = field(default_factory=set)
    any_quota: bool = False
    scores: set[int] = field(default_factory=set)
    campaign: bool = False


class Pinning:
    """Learns from the run of a pack's cases what each of them shows, and then finds the numbers that none pins."""

    def __init__(self, pack: Pack, cases: Sequence[Case], table: FieldTable, wanted: Callable[[Mutant], bool]) -> None:
        """Look for the numbers of the `wanted` nudges only."""
        self._mutants = list(filter(wanted, mutants(pack, table)))
        self._table = table
        compared = {mutant.before.field for mutant in self._mutants if isinstance(mutant.before, Comparison)}
        self._names = compared | {f"signals.{signal.name}" for signal in pack.signals}
        self._seen = {case: _Seen(case) for case in cases}

    def see(self, case: Case, observed: Observed) -> None:
        """Take note of one send of the pack as it is."""
        seen, judgement, fields = self._seen[case], observed.judgement, observed.fields
        seen.sends += 1
        for name in self._names:
            if name in fields:
                value = fields[name]
                seen.values[name].add(len(value) if isinstance(value, tuple) else value)
        seen.rules.update(judgement.fired, judgement.shadow_fired)
        seen.quotas.update(observed.quotas or ())
        seen.refused_by.update(denial.limit for denial in observed.denials)
        seen.any_quota = seen.any_quota or observed.quotas is None
        seen.campaign = seen.campaign or observed.campaign
        seen.scores.update((judgement.enforced.score, judgement.shadow.score))

    def unpinned(self, runner: Runner, progress: Progress | None = None) -> Iterator[Unpinned]:
        """Yield every number that no case pins; all cases must have passed."""
        passing: dict[str, list[str]] = {}
        killers: dict[str, Case] = {}
        for done, mutant in enumerate(self._mutants):
            if progress is not None:
                progress(done, len(self._mutants), mutant.number)
            killer = self._killer(mutant, runner, killers.get(mutant.number))
            if killer is None:
                passing.setdefault(mutant.number, []).append(mutant.change)
            else:
                killers[mutant.number] = killer
        for number, values in passing.items():
            yield Unpinned(number, tuple(values))

    def _killer(self, mutant: Mutant, runner: Runner, first: Case | None) -> Case | None:
        """Return a case that fails with the mutant; `first` is one that failed with the same number moved."""
        touched = [seen for seen in self._seen.values() if _touches(mutant, seen, self._table)]
        touched.sort(key=lambda seen: (seen.case is not first, *_order(mutant, seen)))
        results = runner.run(mutant.pack, [seen.case for seen in touched])
        return next((result.case for result in results if result.failure is not None), None)


def _touches(mutant: Mutant, seen: _Seen, table: FieldTable) -> bool:
    before, after = mutant.before, mutant.after
    if isinstance(before, Comparison) and isinstance(after, Comparison):
        return _compares(before, after, seen, table)
    if isinstance(before, Quota):
        return seen.any_quota or before.id in seen.quotas
    if isinstance(before, Signal):
        return seen.values[f"signals.{before.name}"] != {0}
    if isinstance(before, Rule | Campaign):
        return seen.campaign if isinstance(before, Campaign) else before.id in seen.rules
    if isinstance(before, Rung) and isinstance(after, Rung) and before.approval is Approval.NONE:
        return any((score >= before.score) != (score >= after.score) for score in seen.scores)
    return seen.scores != {0}  # of a rung with approval only a part of the score counts


def _compares(before: Comparison, after: Comparison, seen: _Seen, table: FieldTable) -> bool:
    """Tell whether a value was seen that the two comparisons take for different things."""
    known = table.get(before.field)
    if known is not None and known.when is When.ANSWER:  # what was seen is older than the answer
        return True
    sized = known is not None and isinstance(known.default, tuple)
    was, would = compile_condition(before), compile_condition(after)
    for value in seen.values[before.field]:
        fields = {before.field: ("",) * value if sized else value}
        if was(fields) != would(fields):
            return True
    return False


def _order(mutant: Mutant, seen: _Seen) -> tuple[bool, int]:
    """Try first where the very limit refused, and then the short ones."""
    before, after = mutant.before, mutant.after
    if isinstance(before, Quota) and isinstance(after, Quota):
        return (seen.refused_by.isdisjoint(set(before.limits) - set(after.limits)), seen.sends)
    return (False, seen.sends)
