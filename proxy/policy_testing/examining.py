"""Examines one pack by its tests: the cases, and on demand what they leave out and which numbers they do not pin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from proxy.policy_testing.coverage import Coverage
from proxy.policy_testing.loading import find_suites
from proxy.policy_testing.mutation import Pinning, Progress
from proxy.policy_testing.report import Report
from proxy.policy_testing.running import Case, Runner, cases_of
from proxy.policy_testing.world import Observed
from proxy.rules.mutate import Mutant
from proxy.rules.pack.pack import Pack


def examine(
    file: Path,
    pack: Pack,
    runner: Runner,
    *,
    coverage: bool = False,
    mutate: bool | Callable[[Mutant], bool] = False,
    on_case: Callable[[int, int], None] | None = None,
    on_mutant: Progress | None = None,
) -> Report:
    """Run a pack's tests. Raises YamlProblems if one of their files cannot be used.

    `mutate` may tell which numbers to nudge. `on_case` is told how many cases ran of how many, `on_mutant` which number
    is tried. What the cases leave out is only looked for if all of them pass: a case that stops early shows less than
    it would.
    """
    cases = cases_of(find_suites(file, pack, runner.table))
    seen = Coverage(pack)
    wanted = mutate if callable(mutate) else lambda _: True
    pinning = Pinning(pack, cases, runner.table, wanted) if mutate else None

    def watch(case: Case, observed: Observed) -> None:
        seen.see(observed)
        if pinning is not None:
            pinning.see(case, observed)

    results = []
    for result in runner.run(pack, cases, watch):
        results.append(result)
        if on_case is not None:
            on_case(len(results), len(cases))
    report = Report(str(file), pack, tuple(results))
    if report.failed or not results:
        return report
    gaps = tuple(seen.gaps()) if coverage else None
    unpinned = None if pinning is None else tuple(pinning.unpinned(runner, on_mutant))
    return Report(str(file), pack, tuple(results), gaps, unpinned)
