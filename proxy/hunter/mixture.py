"""Tells the users of one text apart into members of a case and others who merely use it too.

Everybody who has the text is a member, whose traits are as those of the other members, or somebody else, whose traits
are as is usual. How likely each is a member follows from what is known of the members, and that from how likely each
is one: both are found in turns, by expectation and maximisation for a mixture of two (Dempster, Laird and Rubin 1977).

This is a second opinion beside `membership`, which compares with everybody and so takes honest users of a public text
for members, since they are in the case from the beginning. The mixture alone draws in strangers who are a little like
many others; so whoever belongs has to be unlike strangers, and unlike other users of the text.

Laws:
- What goes with a text, its other users have as well: the client that has it built in, the length of its answers, how
  much one sends. There an account is compared with what is usual or with the others, whichever is more like it.
- What goes with an account (when it was opened, what it shares) is compared with what is usual only, and others are
  never taken to be more even than people are: so they cannot take over a part of a campaign, as its second batch.
- How much the text itself says follows from how many members there are for each other user of it: where there are no
  others, who has the text belongs; where there are many, it says nothing or speaks against.
- Each trait is capped, so that one coincidence makes nobody a member; nobody vouches for himself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from proxy.hunter.accounts import Accounts
from proxy.hunter.background import Background, answered, mean_log_output
from proxy.hunter.chance import Floats
from proxy.hunter.ids import Numbers
from proxy.hunter.links import PREFIX
from proxy.hunter.traits import DOUBT, MOST_OF_TRAIT, PASSERS_BY, by_text, capped, parts_of, shares_of

# Enough for most cases to settle; the next judging goes on from the members of this one.
_ROUNDS = 12
_SETTLED = 0.02  # of a probability
# A deviation of which part of the usual one is believed at least, however alike a few accounts are.
_EVENEST = 0.25
_AS_PEOPLE = 1.0
_HALF = 0.5


class _Parts(NamedTuple):
    """How likely each candidate is a member, and how likely somebody else who sends the text as much as they do."""

    member: Floats
    other: Floats


class _Sizes(NamedTuple):
    """Of sizes of the candidates less the usual mean, the part that may be as theirs are; squares, parts, deviation."""

    values: Floats
    squares: Floats
    parts: Floats
    usual: float


_Trait = Callable[[_Parts], Floats]


def unlike_users(
    candidates: Numbers, inside: np.ndarray, uses: Floats, accounts: Accounts, usual: Background
) -> Floats:
    """Return how much better each candidate fits the members than the other users of the text, in nats.

    `uses` is how many exchanges of each candidate have the text. At first those `inside` are taken for the members and
    the rest for the others, and nobody knows how many there are of each.
    """
    traits = _traits(candidates, inside, uses, accounts, usual)
    share = shares_of(uses, accounts.rows["exchanges"][candidates])
    parts = _Parts(inside.astype(np.float64), (~inside).astype(np.float64))
    fits = np.zeros(len(candidates))
    for number in range(_ROUNDS):
        text = by_text(np.log(_common(share, parts.member, PASSERS_BY) / PASSERS_BY[share]))
        fits = np.minimum(text, _odds(parts) if number else 0.0)
        for trait in traits:
            fits += capped(trait(parts))
        before, belongs = parts.member, _likely(fits)
        parts = _Parts(belongs, (1 - belongs) * _likely(text))
        if number and np.abs(belongs - before).max() < _SETTLED:
            break
    return fits


def _traits(
    candidates: Numbers, inside: np.ndarray, uses: Floats, accounts: Accounts, usual: Background
) -> list[_Trait]:
    rows = accounts.rows
    agents, volume = rows["agent"][candidates], np.log(np.maximum(1, uses))
    tenants, parts = rows["tenant"][candidates], parts_of(uses, rows["exchanges"][candidates], inside)
    return [
        _by_kind(usual.ages[candidates].astype(np.int64) + 1, usual.ages_common),  # 0 is unknown
        *(
            _by_link(tokens[candidates], tenants, usual.linked[kind])
            for kind, tokens in usual.tokens.items()
            if kind != PREFIX
        ),
        _by_kind(agents, usual.agents, of_text=True),
        _by_output(candidates, parts, accounts, usual),
        _by_size(volume, usual.log_count, evenest=_AS_PEOPLE),
    ]


def _by_kind(values: np.ndarray, common: Floats, *, of_text: bool = False) -> _Trait:
    """Compare how common each one's value is among the members and among the others."""

    def weights(parts: _Parts) -> Floats:
        theirs = common[values]
        if of_text:
            theirs = np.maximum(theirs, _common(values, parts.other, common))
        compared: Floats = np.log(_common(values, parts.member, common) / theirs)
        return compared

    return weights


def _common(values: np.ndarray, part: Floats, usual: Floats) -> Floats:
    """Return how common each one's value is in a part of the candidates, itself aside."""
    same = np.bincount(values, part, minlength=len(usual))[values] - part
    common: Floats = (same + DOUBT * usual[values]) / (part.sum() - part + DOUBT)
    return common


def _by_link(tokens: np.ndarray, tenants: np.ndarray, usual: float) -> _Trait:
    """Compare how common it is among the members to have the token of a member of another tenant."""
    known = tokens > 0
    pairs, pair = np.unique(tokens[known].astype(np.int64) << 32 | tenants[known], return_inverse=True)
    _, token = np.unique(pairs >> 32, return_inverse=True)

    def weights(parts: _Parts) -> Floats:
        found = np.zeros(len(tokens))
        if not len(pairs):
            return found
        part = parts.member[known]
        # How many members hold the pair, or the token with another tenant: many who hardly belong vouch for nobody.
        holders = np.bincount(pair, part >= _HALF) > 0
        linked = (np.bincount(token, holders)[token] - holders > 0)[pair].astype(np.float64)
        share = ((part * linked).sum() + DOUBT * usual) / (part.sum() + DOUBT)
        chance = min(usual, share)  # to share less than strangers do says nothing
        found[known] = linked * np.log(share / chance) + (1 - linked) * np.log((1 - share) / (1 - chance))
        return found

    return weights


def _by_output(candidates: Numbers, parts: Floats, accounts: Accounts, usual: Background) -> _Trait:
    """Compare how long answers are, where that is known: whole ones, and where there are none those that were cut."""
    traits: list[tuple[np.ndarray, _Trait]] = []
    for cut in (True, False):
        known = answered(accounts, candidates, cut=cut)
        sizes = mean_log_output(accounts, candidates[known], cut=cut)
        traits.append((known, _by_size(sizes, usual.log_output, evenest=_EVENEST, parts=parts[known])))

    def weights(belong: _Parts) -> Floats:
        found = np.zeros(len(candidates))
        for known, trait in traits:
            found[known] = trait(_Parts(belong.member[known], belong.other[known]))
        return found

    return weights


def _by_size(values: Floats, usual: tuple[float, float], *, evenest: float, parts: Floats | float = 1.0) -> _Trait:
    """Compare a size with the members' and the others', as normal distributions; `evenest` is of the others.

    Of some accounts a part only may be sized as theirs are, and the rest as is usual.
    """
    values = values - usual[0]
    sizes = _Sizes(values * parts, values**2, parts * np.ones(len(values)), usual[1])
    usually = -sizes.squares / (2 * usual[1] ** 2) - math.log(usual[1])

    def weights(belong: _Parts) -> Floats:
        theirs = np.maximum(usually, _normal(sizes, belong.other, evenest))
        return _normal(sizes, belong.member, _EVENEST) - theirs

    return weights


def _normal(sizes: _Sizes, part: Floats, evenest: float) -> Floats:
    """Return the logarithm of the density of sizes as they are in a part of the candidates, a constant aside.

    By powers of the sizes, which are there already: this is most of the work of a judging.
    """
    values, squares, parts, usual = sizes
    total = float(part @ parts**2) + DOUBT
    mean = float(part @ values) / total
    spread = float(part @ squares) + DOUBT * usual**2 - total * mean**2
    deviation = min(max(math.sqrt(max(0.0, spread) / (float(part.sum()) + DOUBT)), evenest * usual), usual)
    variances = (parts * deviation) ** 2 + ((1 - parts) * usual) ** 2
    density: Floats = (squares - 2 * mean * values + (mean * parts) ** 2) / (-2 * variances) - np.log(variances) / 2
    return density


def _odds(parts: _Parts) -> float:
    """Return the logarithm of how many members there are for each other user of the text; with Jeffreys' prior."""
    odds = np.log((parts.member.sum() + 0.5) / (parts.other.sum() + 0.5))
    return float(np.clip(odds, -MOST_OF_TRAIT, MOST_OF_TRAIT))


def _likely(fits: Floats) -> Floats:
    likely: Floats = 1 / (1 + np.exp(-fits))
    return likely
