"""How sure the hunter says that it is, against what is true, and the arithmetic by which that is measured."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from bench.calibration import columns, fitted, mapped, reliability, scores, show
from bench.weighing import DEPLOYMENTS, STRENGTHS, Noted, Weighing, hunted

_HALF = STRENGTHS[3]


@pytest.fixture(scope="module")
def hunts() -> list[Noted]:
    """Every fifth deployment, with half of the accounts, which send half as much: not all is clear then."""
    return [hunted(make, asked, _HALF, 1) for make, asked in DEPLOYMENTS[2::5]]


def _right(weighed: list[Weighing]) -> float:
    rows = reliability(weighed)
    return sum(row.right for row in rows) / sum(row.right + row.wrong for row in rows)


def _between(hunts: list[Noted], least: float, most: float) -> list[Weighing]:
    return [each for hunt in hunts for each in hunt.weighed if least <= each.sure < most]


def test_what_is_sure_is_right_what_is_middling_is_so_now_and_then_and_what_is_unlikely_is_seldom(
    hunts: list[Noted],
) -> None:
    sure, middling, unlikely = (_between(hunts, *part) for part in ((0.95, 1.1), (0.3, 0.95), (0.0, 0.3)))
    assert _right(sure) >= 0.9
    assert 0.3 <= _right(middling) <= 0.95
    assert _right(unlikely) <= 0.3


def test_what_is_said_tells_more_than_how_many_candidates_are_right(hunts: list[Noted]) -> None:
    of = columns([each for hunt in hunts for each in hunt.weighed])
    said = 1 / (1 + np.exp(-of.odds))
    base = np.full(len(said), np.average(of.right, weights=of.counts))
    assert scores(of, said).brier < scores(of, base).brier / 2
    assert scores(of, said).apart < 0.15


def test_of_the_members_of_a_campaign_that_was_found_nineteen_in_twenty_belong_to_it(hunts: list[Noted]) -> None:
    found = [hunt for hunt in hunts if any(each.told and each.right for each in hunt.weighed)]
    members = [guilty for hunt in found for _, guilty in hunt.members.values()]
    assert len(members) > 100
    assert sum(members) >= 0.95 * len(members)


def _said(sure: float, guilty: int, candidate: str = "c", kind: str = "k") -> Weighing:
    return Weighing(kind, f"{kind} 1", candidate, sure, told=False, members=10, guilty=guilty)


def test_a_candidate_counts_once_in_each_range_however_often_it_was_weighed() -> None:
    weighed = [_said(0.5, 10)] * 9 + [_said(0.55, 0, "d"), _said(0.97, 10), _said(1.0, 6)]
    middle, sure, surest = reliability(weighed)
    assert (middle.least, middle.right, middle.wrong, middle.kinds) == (0.4, 1, 1, 1)
    assert middle.said == pytest.approx(0.525)
    assert middle.low < middle.share == 0.5 < middle.high
    assert (sure.least, sure.right, sure.wrong) == (0.95, 1, 0)
    assert (surest.least, surest.right, surest.wrong) == (0.999, 1, 0)


def test_half_of_the_members_are_not_most() -> None:
    assert not _said(0.5, 5).right
    assert _said(0.5, 6).right


def _drawn(shift: float, slope: float) -> list[Weighing]:
    rng = np.random.default_rng(1)
    odds = rng.normal(0, 3, 4_000)
    right = rng.random(len(odds)) < 1 / (1 + np.exp(-shift - slope * odds))
    said = 1 / (1 + np.exp(-odds))
    return [
        _said(float(sure), 10 * bool(hit), str(n), f"k{n % 20}")
        for n, (sure, hit) in enumerate(zip(said, right, strict=True))
    ]


def test_a_curve_finds_what_was_said_wrongly_and_mends_it_for_other_kinds() -> None:
    of = columns(_drawn(-1.0, 0.5))
    assert fitted(of.odds, of.right, of.counts) == pytest.approx((-1.0, 0.5), abs=0.1)
    as_said = scores(of, 1 / (1 + np.exp(-of.odds)))
    by_curve = scores(of, mapped(of))
    assert as_said.apart > 0.15
    assert by_curve.apart < 0.03
    assert by_curve.brier < as_said.brier


def test_a_curve_leaves_what_was_said_rightly() -> None:
    of = columns(_drawn(0.0, 1.0))
    assert scores(of, 1 / (1 + np.exp(-of.odds))).apart < 0.03
    assert fitted(of.odds, of.right, of.counts) == pytest.approx((0.0, 1.0), abs=0.1)


def test_tables_tell_how_many_were_right(hunts: list[Noted]) -> None:
    console = Console(file=io.StringIO(), width=120)
    show(console, hunts)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "as it is said: Brier" in told
    assert "by a curve of other kinds: Brier" in told


def test_where_nothing_was_weighed_there_is_nothing_to_tell() -> None:
    said = io.StringIO()
    show(Console(file=said), [])
    assert "Brier" not in said.getvalue()
