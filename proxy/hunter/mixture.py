"""Divides the users of one text into members of a case and others who merely use the text, too.

Every user of the text is either a member, with traits like the other members', or somebody else, with usual traits. How
likely each is a member follows from the members' traits, and these from how likely each is a member: both are found in
turns, by expectation-maximisation for a mixture of two (Dempster, Laird and Rubin 1977).

This is a second opinion beside `membership`, which compares with everybody and so takes honest users of a public text
for members, since they are in the case from the beginning. The mixture alone would draw in strangers who are a little
like many others; so a member has to be unlike strangers and unlike other users of the text.

Laws:
- Traits that come with a text are shared by its other users: the client that has it built in, the length of its
  answers, how much one sends. In these an account is compared with the usual or with the others, whichever is closer.
- Traits of the account (when it was opened, what it shares) are compared only with the usual, and the others are never
  taken to be more even than people are: so they cannot absorb a part of a campaign, such as its second batch.
- How much the text itself says follows from the number of members for each other user of it: if there are no others,
  whoever has the text belongs; if there are many, it says nothing or speaks against it.
- Each trait is capped, so that one coincidence makes nobody a member; nobody vouches for himself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.candidates import Candidates, Held, Kinds, Part, part_of
from proxy.hunter.chance import Floats
from proxy.hunter.traits import DOUBT, MOST_OF_TRAIT, by_text, capped, parts_of

# Enough for most cases to settle; the next judging goes on from the members of this one.
_ROUNDS = 12
_SETTLED = 0.02  # of a probability
# The least deviation believed, as a part of the usual one, however alike a few accounts are.
_EVENEST = 0.25
_AS_PEOPLE = 1.0
_HALF = 0.5


class _Sizes(NamedTuple):
    """Of sizes of the candidates less the usual mean, the part that may be as theirs are; squares; which part that is.

    Where it is all of each, the part and what the rest of it varies by are one number; `of` has squares of the part.
    """

    values: Floats
    squares: Floats
    parts: Floats | float
    of: Floats
    rest: Floats | float
    usual: float


# What a trait says of each candidate, given how likely each is a member, and how likely somebody else who sends the
# text as much as they do.
_Trait = Callable[[Part, Part], Floats]


def unlike_users(candidates: Candidates, text: Kinds, inside: NDArray[np.bool_]) -> Floats:
    """Return how much better each candidate fits the members than the other users of the `text`, in nats.

    It begins with those `inside` as members and the rest as others, without assuming how many there are of each.
    """
    traits = _traits(candidates, inside)
    members, others = part_of(inside.astype(np.float64)), part_of((~inside).astype(np.float64))
    fits = np.zeros(len(inside))
    for number in range(_ROUNDS):
        by_uses = by_text(text.compared(members))
        fits = np.minimum(by_uses, _odds(members, others) if number else 0.0)
        for trait in traits:
            fits += capped(trait(members, others))
        before, belongs = members.each, _likely(fits)
        if number and np.abs(belongs - before).max() < _SETTLED:
            break
        members, others = part_of(belongs), part_of((1 - belongs) * _likely(by_uses))
    return fits


def _traits(candidates: Candidates, inside: NDArray[np.bool_]) -> list[_Trait]:
    return [
        _by_age(candidates.ages),
        *(_by_link(held, len(inside)) for held in candidates.held.values() if held.in_common),
        _by_client(candidates.clients),
        _by_output(candidates, parts_of(candidates.parts, inside)),
        _by_size(candidates.volume, candidates.log_count, evenest=_AS_PEOPLE),
    ]


def _by_age(ages: Kinds) -> _Trait:
    """Compare how common each one's age is among the members with how common it usually is."""

    def weights(members: Part, _: Part) -> Floats:
        return ages.compared(members)

    return weights


def _by_client(clients: Kinds) -> _Trait:
    """Compare how common each one's client is among the members, and among the others or usually."""

    def weights(members: Part, others: Part) -> Floats:
        theirs = np.maximum(clients.usual, clients.common(others))
        compared: Floats = np.log(clients.common(members) / theirs)
        return compared

    return weights


def _by_link(held: Held, count: int) -> _Trait:
    """Compare how common it is among the members to have the token of a member of another tenant."""
    usual = held.usual

    def weights(members: Part, _: Part) -> Floats:
        part = members.each[held.holders]
        # Members are those that are rather in than out: many who hardly belong must not vouch for anybody.
        having, tenants = held.tenants(part >= _HALF)
        linked = (tenants > having)[held.pair]
        share = ((part * linked).sum() + DOUBT * usual) / (part.sum() + DOUBT)
        chance = min(usual, share)  # to share less than strangers do says nothing
        found = np.zeros(count)
        found[held.holders] = np.where(linked, np.log(share / chance), np.log((1 - share) / (1 - chance)))
        return found

    return weights


def _by_output(candidates: Candidates, parts: Floats) -> _Trait:
    """Compare how long answers are, where that is known: whole ones, and where there are none those that were cut."""
    count = len(parts)
    if candidates.whole.known.all():  # of whom both are known, by the whole ones
        return _by_size(candidates.whole.sizes, candidates.log_output, evenest=_EVENEST, parts=parts)
    traits = [
        (known, _by_size(sizes, candidates.log_output, evenest=_EVENEST, parts=parts[known]))
        for known, sizes in (candidates.cut, candidates.whole)
        if len(sizes)
    ]

    def weights(members: Part, others: Part) -> Floats:
        found = np.zeros(count)
        for known, trait in traits:
            found[known] = trait(part_of(members.each[known]), part_of(others.each[known]))
        return found

    return weights


def _by_size(values: Floats, usual: tuple[float, float], *, evenest: float, parts: Floats | None = None) -> _Trait:
    """Compare a size with the members' and the others', as normal distributions; `evenest` is of the others.

    Of some accounts a part only may be sized as theirs are, and the rest as is usual.
    """
    values = values - usual[0]
    squares = values**2
    usually = -squares / (2 * usual[1] ** 2) - math.log(usual[1])
    if parts is None or parts.min() == 1.0:
        sizes = _Sizes(values, squares, 1.0, np.ones(len(values)), 0.0, usual[1])
    else:
        sizes = _Sizes(values * parts, squares, parts, parts**2, ((1 - parts) * usual[1]) ** 2, usual[1])

    def weights(members: Part, others: Part) -> Floats:
        theirs = np.maximum(usually, _normal(sizes, others, evenest))
        return _normal(sizes, members, _EVENEST) - theirs

    return weights


def _normal(sizes: _Sizes, part: Part, evenest: float) -> Floats:
    """Return the logarithm of the density of sizes as they are in a part of the candidates, a constant aside.

    By powers of the sizes, which are there already: this is most of the work of a judging.
    """
    values, squares, parts, of, rest, usual = sizes
    total = float(part.each @ of) + DOUBT
    mean = float(part.each @ values) / total
    spread = float(part.each @ squares) + DOUBT * usual**2 - total * mean**2
    deviation = min(max(math.sqrt(max(0.0, spread) / (part.total + DOUBT)), evenest * usual), usual)
    theirs, centre = parts * deviation, mean * parts
    variances = theirs * theirs + rest
    density: Floats = squares - 2 * mean * values
    density += centre * centre
    density /= -2 * variances
    density -= np.log(variances) / 2
    return density


def _odds(members: Part, others: Part) -> float:
    """Return the logarithm of how many members there are for each other user of the text; with Jeffreys' prior."""
    odds = float(np.log((members.total + 0.5) / (others.total + 0.5)))
    return min(max(odds, -MOST_OF_TRAIT), MOST_OF_TRAIT)


def _likely(fits: Floats) -> Floats:
    likely: Floats = 1 / (1 + np.exp(-fits))
    return likely
