"""How likely it is that a text agrees with a key by chance.

Without the key, its preference in each context is a fair coin, whatever the text and its author's habits: so the number
of distinct contexts that agree is binomial, exactly, and nothing is assumed about language.
"""

from __future__ import annotations

from math import exp, lgamma, log

_HALF = log(0.5)


def tail(agree: int, places: int) -> float:
    """Return the chance that at least `agree` of the places agree by themselves: a binomial tail, one half each."""
    if agree <= 0:
        return 1.0
    if agree > places:
        return 0.0
    whole = lgamma(places + 1) + places * _HALF
    terms = [whole - lgamma(k + 1) - lgamma(places - k + 1) for k in range(agree, places + 1)]
    most = max(terms)
    return min(1.0, exp(most + log(sum(exp(term - most) for term in terms))))


def corrected(chance: float, tests: int) -> float:
    """Return a chance corrected for so many tests (Bonferroni): at least that of any coming out so by chance."""
    return min(1.0, chance * tests)


def needed(tests: int, rate: float, *, agreeing: float = 1.0) -> int:
    """Return the least number of places for a finding, if the share `agreeing` of them agrees."""
    places = 1
    while corrected(tail(int(places * agreeing), places), tests) > rate:
        places += 1
    return places
