"""How unlikely a coincidence is: log-likelihood ratios in nats, with the few distributions that the evidence needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proxy.fingerprint.distinct import counted

Floats = NDArray[np.float64]

# The least nats at which a coincidence is looked at closer: a busy deployment looks at a thousand prints in a round,
# each in some 300 windows of age.
SUSPICIOUS = 10.0
# How evenly a dispatcher spreads work: a Poisson spread, and some accounts that joined later.
_EVEN_SHAPE = 12.0
# The users of one app, or the sites of one agency, are less uneven among themselves than all customers are.
_ONE_APP_SHAPE = 2.0
_PARTS, _PARTS_BITS = 24, 5  # of the time: who was there for nearly as long is counted together
_HALF = 0.5
_PRECISE = 1e-9  # of a mean, relative
_STEPS_MOST = 60  # to a mean; a dozen do


def excess(hits: ArrayLike, trials: ArrayLike, usual: ArrayLike) -> Floats:
    """Return how much better the share `hits` / `trials` fits than the usual share, in nats; 0 where it is no higher.

    The binomial log-likelihood ratio, as in Kulldorff's scan statistic (1997). Arrays or numbers.
    """
    given = [np.asarray(each, np.float64) for each in (hits, trials, usual)]
    more = given[0] > given[1] * given[2]  # of windows of age a fraction, and logarithms are most of the work
    found = np.zeros(more.shape)
    if not more.any():
        return found
    seen, of, share = (
        each if not each.ndim else (each if each.shape == more.shape else np.broadcast_to(each, more.shape))[more]
        for each in given
    )
    share = np.minimum(np.maximum(share, 1e-9), 1 - 1e-9)
    part = seen / of
    missed = np.maximum(1 - part, np.finfo(np.float64).tiny)  # where it is none, none are counted
    found[more] = seen * np.log(part / share) + (of - seen) * np.log(missed / (1 - share))
    return found


def excess_of(hits: float, trials: float, usual: float) -> float:
    """Return `excess` for one share: as arrays of one number it takes ten times as long."""
    if not hits > trials * usual:
        return 0.0
    share, part = min(max(usual, 1e-9), 1 - 1e-9), hits / trials
    missed = max(1 - part, np.finfo(np.float64).tiny)
    return float(hits * np.log(part / share) + (trials - hits) * np.log(missed / (1 - share)))


def beyond(hits: float, of: float, usual: float) -> float:
    """Return the share of `of` for whom something is true beyond the usual, relative to the most that it could be."""
    return max(0.0, hits / of - usual) / (1 - usual)


def evenness(
    counts: NDArray[Any],
    usual_shapes: Sequence[float],
    even_shape: float,
    there: Floats | None = None,
    *,
    least: int = 1,
) -> float:
    """Return how much better an even spread explains counts than the best of the usual uneven ones.

    All are negative binomials with the mean that fits best, zero-truncated if whoever sent none is not among these, as
    `least` says: 1, or 0. The shape says how even: infinite is a Poisson spread, as of work dealt out by turns; 1 is
    geometric; people's use has less than 1. `there` says for which part of the time each could send anything: then
    each spread may also have a mean for as much time as that.
    """
    told = [counted(np.sort(counts))]
    parts = [np.ones(len(told[0][0]))]
    if there is not None and there.min(initial=1.0) < 1.0:
        part_of_each = np.maximum(1, np.ceil(there * _PARTS)).astype(np.int64)
        pairs, times = counted(np.sort(counts.astype(np.int64) << _PARTS_BITS | part_of_each))
        told.append((pairs >> _PARTS_BITS, times))
        parts.append((pairs & (1 << _PARTS_BITS) - 1) / _PARTS)

    def best(shape: float) -> float:
        return max(_fit(*each, part, shape, least) for each, part in zip(told, parts, strict=True))

    even = best(even_shape)
    return min(even - best(shape) for shape in usual_shapes)


def dealt_out(
    counts: NDArray[Any], usual_shape: float, there: Floats | None = None, *, of_the_first: bool = False
) -> float:
    """Return how much better work that is dealt out explains counts than the use that people make of one thing.

    The first people to be seen are mostly those who send much, and they look even because of that. So with
    `of_the_first` only what they sent after their first exchange counts, be it nothing: if rates have a gamma
    distribution, those of people already seen have one whose shape is higher by one.
    """
    first = int(of_the_first)
    return evenness(counts - first, (usual_shape + first, _ONE_APP_SHAPE + first), _EVEN_SHAPE, there, least=1 - first)


def dealt_out_each(counts: NDArray[np.int64], places: NDArray[np.intp], usual_shape: float) -> Floats:
    """Return `dealt_out` for many things at once, each with some count above 1; one by one takes a hundredfold.

    The counts of one thing lie together, from its place in `places` to the next one's.
    """
    values, place = np.unique(counts, return_inverse=True)
    many, seen = np.diff(places), np.add.reduceat(counts, places[:-1])
    found = []
    for shape in (_EVEN_SHAPE, usual_shape, _ONE_APP_SHAPE):
        ways = np.add.reduceat(_ways(values, shape)[place], places[:-1])
        found.append(ways + _best(many, seen, shape))
    even, usual, of_one_app = found
    return even - np.maximum(usual, of_one_app)


def shape_of(counts: NDArray[Any]) -> float:
    """Return the shape of the negative binomial that has the mean and the variance of these counts."""
    mean, variance = float(np.mean(counts)), float(np.var(counts))
    return mean * mean / (variance - mean) if variance > mean else math.inf


def ways_to_choose(among: int, chosen: int) -> float:
    """Return the logarithm of the number of ways to choose `chosen` among `among`."""
    return math.lgamma(among + 1) - math.lgamma(chosen + 1) - math.lgamma(among - chosen + 1)


def quantile(values: NDArray[Any], part: float) -> float:
    """Return the quantile of values, as numpy does, which takes ten times as long on few values."""
    at = (len(values) - 1) * part
    low = int(at)
    high, beyond = min(low + 1, len(values) - 1), at - low
    ordered = np.partition(values, (low, high))
    below, above = float(ordered[low]), float(ordered[high])
    apart = above - below
    return above - apart * (1 - beyond) if beyond >= _HALF else below + apart * beyond


def _fit(values: NDArray[Any], times: NDArray[Any], parts: Floats, shape: float, least: int) -> float:
    """Return the log-likelihood of counts under the best negative binomial of one shape, zero-truncated for least 1.

    Its mean is so many for the whole time, of which each of the `values` has a part.
    """
    mean = _untruncated(values, times, parts, shape) if least else float(times @ values) / float(times @ parts)
    if mean <= 0:
        return 0.0
    means = mean * parts
    zeros = shape * np.log(shape / (shape + means))
    kept = np.log(-np.expm1(zeros)) if least else np.zeros(len(means))
    steps = np.log(means / (shape + means))
    return float(times @ (_ways(values, shape) + zeros + values * steps - kept))


def _best(many: NDArray[np.intp], seen: NDArray[np.int64], shape: float) -> Floats:
    """Return what hangs on the mean of the same as `_fit` returns, for each of many things.

    There are so `many` counts of each, which come to `seen`, of accounts that were there for the whole time.
    """
    mean = seen / many  # beyond the one that is looked for: from there Newton's steps never fall short of it
    for _ in range(_STEPS_MOST):
        kept = -np.expm1(shape * np.log(shape / (shape + mean)))
        step = (many * mean - seen * kept) / (many - seen * (1 - kept) * shape / (shape + mean))
        mean -= step
        if (step <= _PRECISE * mean).all():
            break
    zeros = shape * np.log(shape / (shape + mean))
    found: Floats = seen * np.log(mean / (shape + mean)) + many * (zeros - np.log(-np.expm1(zeros)))
    return found


def _ways(values: NDArray[Any], shape: float) -> Floats:
    """Return what of the log-likelihood of each count hangs on no mean."""
    of_shape = math.lgamma(shape)
    return np.array([math.lgamma(value + shape) - of_shape - math.lgamma(value + 1) for value in values.tolist()])


def _untruncated(values: NDArray[Any], times: NDArray[Any], parts: Floats, shape: float) -> float:
    """Return the mean with zeros of what has these values without.

    By secants that keep the root between their ends (the Illinois method of Dowell and Jarratt, 1971): the mean without
    zeros is nearly a straight line of the one with them, so five or six do.
    """
    seen = float(times @ values)
    if seen <= times.sum():
        return 0.0

    def beyond_seen(mean: float) -> float:
        means = mean * parts
        return float(times @ (means / -np.expm1(shape * np.log(shape / (shape + means))))) - seen

    low, below = 0.0, float(times.sum()) - seen
    high = seen / float(times @ parts)
    above = beyond_seen(high)
    kept_end = 0
    for _ in range(_STEPS_MOST):
        if above <= 0 or high - low <= _PRECISE * high:
            break
        middle = high - above * (high - low) / (above - below)
        value = beyond_seen(middle)
        if value < 0:
            low, below = middle, value
            above, kept_end = above / 2 if kept_end > 0 else above, 1
        else:
            high, above = middle, value
            below, kept_end = below / 2 if kept_end < 0 else below, -1
    return high
