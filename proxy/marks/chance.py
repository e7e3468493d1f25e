"""How likely it is that a text agrees with a key by chance.

For whoever does not have the key, what it prefers in each context is a fair coin, whatever the text and the habits of
its author: so the number of distinct contexts that agree is binomial, exactly, and nothing is assumed about language.
"""

from __future__ import annotations

from math import exp, lgamma, log

_HALF = log(0.5)


def tail(agree: int, places: int) -> float:
    """Return the chance that at least so many of the places agree by themselves: a binomial tail, one half each."""
    if agree <= 0:
        return 1.0
    if agree > places:
        return 0.0
    whole = lgamma(places + 1) + places * _HALF
    terms = [whole - lgamma(k + 1) - lgamma(places - k + 1) for k in range(agree, places + 1)]
    most = max(terms)
    return min(1.0, exp(most + log(sum(exp(term - most) for term in terms))))


def corrected(chance: float, tests: int) -> float:
    """Return a chance after so many tests (Bonferroni): at least that of any coming out so by itself."""
    return min(1.0, chance * tests)


def needed(tests: int, rate: float, *, agreeing: float = 1.0) -> int:
    """Return how many places it takes at least for a finding, if such a share of them agrees."""
    places = 1
    while corrected(tail(int(places * agreeing), places), tests) > rate:
        places += 1
    return places
