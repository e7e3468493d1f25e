"""How unlikely a coincidence is, against sums that anybody can check."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from proxy.hunter.chance import (
    dealt_out,
    dealt_out_each,
    evenness,
    excess,
    excess_of,
    quantile,
    shape_of,
    ways_to_choose,
)
from proxy.hunter.traits import median


def _log_binomial(hits: int, trials: int, share: float) -> float:
    def part(count: int, of: float) -> float:
        return count * math.log(of) if count else 0.0

    return part(hits, share) + part(trials - hits, 1 - share)


@given(st.integers(0, 50), st.integers(0, 50), st.floats(0.001, 0.999))
def test_an_excess_is_the_ratio_of_two_binomials_and_never_negative(hits: int, more: int, usual: float) -> None:
    trials = hits + more
    found = float(excess(hits, trials, usual))
    if trials == 0 or hits / trials <= usual:
        assert found == 0
    else:
        expected = _log_binomial(hits, trials, hits / trials) - _log_binomial(hits, trials, usual)
        assert found == pytest.approx(expected, abs=1e-9)
        assert found >= 0
    assert excess_of(hits, trials, usual) == found


def test_more_hits_weigh_more_and_arrays_are_weighed_one_by_one() -> None:
    weights = excess(np.arange(11), 10, 0.2)
    assert (np.diff(weights) >= 0).all()
    assert weights.tolist() == [float(excess(hits, 10, 0.2)) for hits in range(11)]


@pytest.mark.parametrize("usual", [0.0, 1.0])
def test_a_share_that_nobody_or_everybody_has_is_finite(usual: float) -> None:
    assert np.isfinite(weights := excess([0, 5, 10], 10, usual)).all()
    assert [excess_of(hits, 10, usual) for hits in (0, 5, 10)] == weights.tolist()


def test_what_is_true_of_everybody_is_no_excess() -> None:
    assert excess([0, 5, 10], 10, 1.0).tolist() == [0.0, 0.0, 0.0]


def _brute_force(counts: list[int], shape: float) -> float:
    """Return the log-likelihood under the best zero-truncated negative binomial, over a fine grid of means."""

    def likelihood(mean: float) -> float:
        share = mean / (shape + mean)
        zero = (1 - share) ** shape
        return sum(
            math.lgamma(count + shape)
            - math.lgamma(shape)
            - math.lgamma(count + 1)
            + shape * math.log(1 - share)
            + count * math.log(share)
            - math.log(1 - zero)
            for count in counts
        )

    return max(likelihood(mean) for mean in np.geomspace(0.001, 2 * max(counts), 4000))


@pytest.mark.parametrize(
    "counts", [[1, 2, 3, 9], [5, 5, 5, 5, 6], [1, 1, 1, 30], [2] * 20, [40, 41, 39, 45], list(range(1, 30)), [1, 1, 2]]
)
@pytest.mark.parametrize("usual", [0.3, 1.0])
def test_evenness_is_the_ratio_of_two_best_fits(counts: list[int], usual: float) -> None:
    expected = _brute_force(counts, 12.0) - _brute_force(counts, usual)
    assert evenness(np.array(counts), [usual], 12.0) == pytest.approx(expected, abs=0.01)


def test_who_came_later_has_sent_less_and_work_is_even_for_the_time_that_each_was_there() -> None:
    rng = np.random.default_rng(1)
    there = np.linspace(1.0, 0.05, 40)
    dealt = np.maximum(1, rng.poisson(60 * there))
    people = np.maximum(1, rng.poisson(60 * there * rng.gamma(0.5, 2.0, 40)))
    assert evenness(dealt, [0.5, 2.0], 12.0) < -5
    assert evenness(dealt, [0.5, 2.0], 12.0, there) > 10
    assert evenness(people, [0.5], 12.0, there) < -20
    assert evenness(dealt, [0.5], 12.0, np.ones(40)) == evenness(dealt, [0.5], 12.0)
    once = rng.poisson(30, 40)  # as many from each, whenever he came
    assert evenness(once, [0.5], 12.0, there) > 10
    assert evenness(np.ones(40, int), [0.5], 12.0, np.zeros(40)) == 0


def test_dealt_out_work_is_even_peoples_use_is_not_and_single_exchanges_say_nothing() -> None:
    rng = np.random.default_rng(1)
    dealt, people = rng.poisson(15, 50) + 1, np.maximum(1, rng.lognormal(2, 1.2, 50).astype(int))
    assert evenness(dealt, [0.5], 12.0) > 20
    assert evenness(people, [0.5], 12.0) < -20
    assert evenness(np.ones(50, int), [0.5], 12.0) == 0


def test_the_first_to_come_are_no_more_even_than_all_are() -> None:
    rng = np.random.default_rng(0)

    def by_the_first(rates: NDArray[np.float64]) -> tuple[float, float]:
        moments = [rng.random(rng.poisson(rate)) for rate in rates]
        counts = np.array([len(mine) for mine in moments if mine.min(initial=1.0) < 0.08])
        return dealt_out(counts, 0.6), dealt_out(counts, 0.6, of_the_first=True)

    looks, is_told = np.median([by_the_first(rng.gamma(3, 2, 200)) for _ in range(15)], axis=0)
    assert is_told < 0 < looks
    assert by_the_first(np.full(200, 6.0))[1] > 5
    assert dealt_out(np.ones(5, np.int64), 0.6, of_the_first=True) == 0


def test_of_the_first_to_come_those_count_who_did_not_come_again() -> None:
    rng = np.random.default_rng(0)
    stayed = 1 + rng.poisson(8, 30)
    assert dealt_out(stayed, 0.6, of_the_first=True) > 5
    assert dealt_out(np.append(stayed, np.ones(70, np.int64)), 0.6, of_the_first=True) < -20
    assert dealt_out(1 + rng.poisson(1.5, 100), 0.6, of_the_first=True) > 0


@given(
    st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=40).filter(lambda one: max(one) > 1), min_size=1),
    st.floats(0.1, 11.0),
)
def test_what_is_dealt_out_is_the_same_of_many_at_once_as_one_by_one(many: list[list[int]], usual: float) -> None:
    places = np.cumsum([0, *(len(one) for one in many)])
    each = dealt_out_each(np.array([count for one in many for count in one]), places, usual)
    assert each == pytest.approx([dealt_out(np.array(one), usual) for one in many], abs=1e-6)


def test_the_shape_is_that_of_the_negative_binomial_that_made_the_counts() -> None:
    counts = np.random.default_rng(1).negative_binomial(2.0, 0.1, 200_000)
    assert shape_of(counts) == pytest.approx(2.0, rel=0.05)
    assert shape_of(np.full(5, 3)) == math.inf


@pytest.mark.parametrize(("among", "chosen", "ways"), [(5, 2, 10), (5, 5, 1), (7, 0, 1), (40, 20, 137846528820)])
def test_ways_to_choose_are_counted(among: int, chosen: int, ways: int) -> None:
    assert ways_to_choose(among, chosen) == pytest.approx(math.log(ways), abs=1e-6)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40), st.sampled_from([0.1, 0.5, 0.75, 0.9, 0.95, 1.0]))
def test_quantiles_and_medians_are_those_of_numpy(values: list[float], part: float) -> None:
    of = np.array(values)
    assert quantile(of, part) == np.quantile(of, part)
    assert median(of) == np.median(of)
