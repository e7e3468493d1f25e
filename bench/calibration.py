"""Of what the hunter is so sure of, how much is right: `python -m bench.calibration --seeds 1-4`.

Without an arena in deployments made for the tests; with `--arena PATH --scenario FILE ...` in traffic that it makes.
The last lines tell what would come of correcting what is said by a curve that was fitted to other kinds of deployments.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.arena import ArenaFailed, seeds_of
from bench.marks import wilson
from bench.weighing import Noted, Weighing, generated, made

EDGES = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
_FITS = (0.0, 3.0, 6.0, 8.0, 10.0, np.inf)  # nats
_FOLDS, _STEPS = 5, 50
_MOST = 12.0  # nats; what lies beyond would decide a fit alone
_PACK = Path(__file__).parent.parent / "policies" / "strict.yaml"
_EXIT_FAILED = 1

Floats = NDArray[np.float64]


class Row(NamedTuple):
    """The candidates that were weighed at so much, each once; `low` and `high` are the 95 % interval of the share.

    The interval counts kinds of deployments: candidates of one kind are right or wrong together.
    """

    least: float
    right: float
    wrong: float
    kinds: int
    said: float
    low: float
    high: float

    @property
    def share(self) -> float:
        """How many of the candidates are right."""
        return self.right / (self.right + self.wrong)


class Scores(NamedTuple):
    """Brier's score, and how far what is said and what is right are apart over the rows; a candidate counts once."""

    brier: float
    apart: float


def reliability(weighed: Iterable[Weighing]) -> list[Row]:
    """Return a row for each range of what is said in which something was weighed."""
    ranges: dict[int, dict[tuple[str, str], list[Weighing]]] = defaultdict(lambda: defaultdict(list))
    for each in weighed:
        place = int(np.searchsorted(EDGES[1:-1], each.sure, side="right"))
        ranges[place][each.deployment, each.candidate].append(each)
    return [_row(place, list(ranges[place].values())) for place in sorted(ranges)]


def _row(place: int, candidates: Sequence[Sequence[Weighing]]) -> Row:
    shares = [float(np.mean([each.right for each in one])) for one in candidates]
    said = float(np.mean([np.mean([each.sure for each in one]) for one in candidates]))
    kinds, right = len({one[0].kind for one in candidates}), sum(shares)
    low, high = wilson(right / len(shares) * kinds, kinds)
    return Row(EDGES[place], right, len(shares) - right, kinds, said, low, high)


class Weighed(NamedTuple):
    """Weighings as columns: what is said, as log-odds, whether it is right, and what a weighing counts."""

    odds: Floats
    right: Floats
    counts: Floats
    kinds: NDArray[np.intp]


def columns(weighed: Sequence[Weighing]) -> Weighed:
    """Return weighings as columns; those of one candidate count one together."""
    said = np.clip([each.sure for each in weighed], 1e-12, 1 - 1e-12)
    _, which, times = np.unique(
        [f"{each.deployment} {each.candidate}" for each in weighed], return_inverse=True, return_counts=True
    )
    _, kinds = np.unique([each.kind for each in weighed], return_inverse=True)
    odds: Floats = np.clip(np.log(said / (1 - said)), -_MOST, _MOST)
    return Weighed(odds, np.array([float(each.right) for each in weighed]), 1 / times[which], kinds)


def scores(of: Weighed, said: Floats) -> Scores:
    """Return how good it is to say this."""
    places = np.searchsorted(EDGES[1:-1], said, side="right")
    apart = np.abs(np.bincount(places, of.counts * (said - of.right))).sum() / of.counts.sum()
    return Scores(float(np.average((said - of.right) ** 2, weights=of.counts)), float(apart))


def mapped(of: Weighed, seed: int = 1) -> Floats:
    """Return what a curve would say, of each kind one that was fitted to four fifths of the others."""
    folds = np.random.default_rng(seed).permutation(int(of.kinds.max()) + 1) % _FOLDS
    fold, said = folds[of.kinds], np.zeros(len(of.odds))
    for number in range(_FOLDS):
        shift, slope = fitted(*(column[fold != number] for column in (of.odds, of.right, of.counts)))
        said[fold == number] = _likely(shift + slope * of.odds[fold == number])
    return said


def fitted(odds: Floats, right: Floats, counts: Floats) -> tuple[float, float]:
    """Return shift and slope of the logistic curve that fits best (Platt 1999), by Newton's method in damped steps.

    That nothing needs to be corrected counts as much as one candidate, so that there is a best one.
    """
    rows, none = np.stack([np.ones_like(odds), odds], axis=1), np.array([0.0, 1.0])

    def loss(weights: Floats) -> float:
        said = rows @ weights
        missed: Floats = np.logaddexp(0.0, said) - right * said
        return float(counts @ missed + ((weights - none) ** 2).sum() / 2)

    weights = none
    for _ in range(_STEPS):
        likely = _likely(rows @ weights)
        bend = (rows * (counts * likely * (1 - likely))[:, None]).T @ rows + np.eye(2)
        step = np.linalg.solve(bend, rows.T @ (counts * (right - likely)) - (weights - none))
        while loss(weights + step) > loss(weights):
            step = step / 2
        weights = weights + step
    return float(weights[0]), float(weights[1])


def _likely(odds: Floats) -> Floats:
    likely: Floats = np.exp(-np.logaddexp(0.0, -odds))
    return likely


def show(console: Console, hunts: Sequence[Noted]) -> None:
    """Print what was said, what was right, and what a curve would change."""
    weighed = [each for hunt in hunts for each in hunt.weighed]
    for title, part in (("weighed", weighed), ("as findings", [each for each in weighed if each.told])):
        table = Table("from", "candidates", "right", "wrong", "kinds", "said", "right", "95 %", title=title)
        for row in reliability(part):
            counts = (row.right + row.wrong, row.right, row.wrong, row.kinds)
            interval = f"{row.low:.2f} to {row.high:.2f}"
            table.add_row(
                f"{row.least:g}", *(f"{n:.0f}" for n in counts), f"{row.said:.3f}", f"{row.share:.3f}", interval
            )
        console.print(table)
    table = Table("fits by", "members", "of a campaign", title="members")
    for least, count, share in _members([member for hunt in hunts for member in hunt.members.values()]):
        table.add_row(f"{least:g}", f"{count:,}", f"{share:.3f}")
    console.print(table)
    if not weighed:
        return
    of = columns(weighed)
    for name, said in (("as it is said", _likely(of.odds)), ("by a curve of other kinds", mapped(of))):
        found = scores(of, said)
        console.print(f"{name}: Brier {found.brier:.4f}, apart {found.apart:.4f}", highlight=False)
    console.print(f"the curve of all: shift and slope {fitted(*of[:3])}", highlight=False)


def _members(members: Sequence[tuple[float, bool]]) -> Iterator[tuple[float, int, float]]:
    for least, most in pairwise(_FITS):
        if part := [guilty for fit, guilty in members if least <= fit < most]:
            yield least, len(part), float(np.mean(part))


def run(
    seeds: Annotated[str, typer.Option(help="Such as 1-4.")] = "1-4",
    arena: Annotated[Path | None, typer.Option(help="The arena's folder.", exists=True, file_okay=False)] = None,
    scenario: Annotated[list[Path] | None, typer.Option(help="What it generates.", exists=True, dir_okay=False)] = None,
    pack: Annotated[Path, typer.Option(help="The pack to replay with.", exists=True, dir_okay=False)] = _PACK,
    jobs: Annotated[int, typer.Option(min=1, help="As of stillgate replay.")] = 1,
) -> None:
    """Hunt in labelled deployments and compare; exit code 1 if something did not work."""
    if (arena is None) is not (not scenario):
        raise typer.BadParameter("an arena and its scenarios go together", param_hint="--scenario")
    hunts: list[Noted] = []
    try:
        for seed in seeds_of(seeds):
            if arena is None:
                hunts += made(seed)
            else:
                hunts += [generated(arena, each, seed, pack, jobs) for each in scenario or ()]
    except ArenaFailed as failed:
        print(f"bench.calibration: {failed}", file=sys.stderr)
        raise typer.Exit(_EXIT_FAILED) from None
    show(Console(), hunts)


if __name__ == "__main__":
    typer.run(run)
