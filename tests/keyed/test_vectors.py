"""Promises about turned vectors: their length and angle, and that neither asking again nor asking around helps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from proxy.keyed.vectors import Vectors, turned

KEY = b"k" * 32
_FIGURES = st.floats(-100, 100, allow_subnormal=False)


def degrees(one: Vectors, other: Vectors) -> Vectors:
    """Return the angle between the rows of both."""
    cosines = np.sum(one * other, axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return np.asarray(np.degrees(np.arccos(np.clip(cosines, -1, 1))))


def around(centre: Vectors, distance: float, count: int) -> Vectors:
    """Return unit vectors about so far away from another."""
    aside = np.random.default_rng(1).standard_normal((count, len(centre)))
    found = centre + distance * aside / np.linalg.norm(aside, axis=1, keepdims=True)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(2, 40)), elements=_FIGURES), st.floats(0.1, 45))
def test_a_vector_keeps_its_length_and_turns_by_the_angle(vectors: Vectors, angle: float) -> None:
    lengths = np.linalg.norm(vectors, axis=1)
    made = turned(vectors, KEY, angle)
    assert np.allclose(np.linalg.norm(made, axis=1), lengths, rtol=1e-9)
    long = lengths > 1e-6
    assert np.allclose(degrees(vectors[long], made[long]), angle, atol=1e-4)


def test_asking_again_gives_the_same_alone_or_among_others_and_another_key_gives_another() -> None:
    vectors = np.random.default_rng(0).standard_normal((9, 1536))
    made = turned(vectors, KEY, 5)
    assert np.array_equal(made, turned(vectors, KEY, 5))
    assert np.allclose(made[4:5], turned(vectors[4:5], KEY, 5), atol=1e-12)
    assert degrees(made, turned(vectors, b"l" * 32, 5)).min() > 5
    assert np.allclose(turned(vectors * 3, KEY, 5), made * 3)


@pytest.mark.parametrize(("distance", "least"), [(0.0, 9.99), (0.05, 9.8), (0.1, 9.5), (0.5, 4)])
def test_the_mean_over_variants_of_a_text_is_not_much_nearer_to_the_truth(distance: float, least: float) -> None:
    centre = around(np.zeros(1536), 1.0, 1)[0]
    mean = turned(around(centre, distance, 400), KEY, 10).mean(axis=0, keepdims=True)
    assert degrees(mean, centre[None])[0] > least


def test_the_mean_over_a_vector_cut_ever_shorter_is_not_much_nearer_to_the_truth() -> None:
    whole = around(np.zeros(1536), 1.0, 1)
    kept = 1400
    made = [turned(cut / np.linalg.norm(cut), KEY, 10)[:, :kept] for cut in (whole[:, :at] for at in range(kept, 1464))]
    assert degrees(np.mean(made, axis=0), whole[:, :kept])[0] > 9.5


def test_unlike_vectors_are_turned_in_unlike_directions() -> None:
    vectors = around(np.zeros(1536), 1.0, 50)
    aside = turned(vectors, KEY, 10) - np.cos(np.radians(10)) * vectors
    cosines = aside @ aside.T / np.sin(np.radians(10)) ** 2
    assert np.abs(cosines[~np.eye(50, dtype=bool)]).mean() < 0.15


@pytest.mark.parametrize("still", [[0.0, 0.0], [np.inf, 1.0], [np.nan, 1.0]])
def test_what_has_no_direction_stays_as_it_is(still: list[float]) -> None:
    with np.errstate(invalid="ignore"):
        made = turned(np.array([still, [3.0, 4.0]]), KEY, 5)
    assert np.array_equal(made[0], still, equal_nan=True)
    assert np.isclose(np.linalg.norm(made[1]), 5)


def test_in_one_dimension_there_is_nowhere_to_turn() -> None:
    assert np.array_equal(turned(np.array([[2.0]]), KEY, 5), [[2.0]])
