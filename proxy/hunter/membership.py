"""Who belongs to a case: each account is compared with those already in it and with all others, trait by trait.

Text says who may belong, never who does. Each trait is capped, so that one coincidence makes nobody a member.
Honest users of the same prompt are told apart by `mixture`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.candidates import Candidates, Held, part_of
from proxy.hunter.chance import Floats
from proxy.hunter.ids import Numbers
from proxy.hunter.traits import DOUBT, by_text, capped, median, parts_of

# In nats, over all traits: the odds of a member are twenty to one.
LEAST = 3.0
VOLUME = "volume"
_ROUNDS = 4
_HALF = 0.5
_SIZED = 3  # members by whose answers others are judged


class Tie(NamedTuple):
    """One trait: its name and what it says of each account, in nats."""

    trait: str
    weights: Floats


def judge_members(candidates: Candidates, core: Numbers) -> tuple[Floats, list[Tie]]:
    """Return how well each candidate fits those of the core that belong together, in all and trait by trait.

    Those who fit are the next round's core, until nothing changes; if nobody fits, nobody belongs.
    """
    count = len(candidates.accounts)
    inside = of_core(candidates.accounts, core)
    fits, ties = np.zeros(count), list[Tie]()
    for _ in range(_ROUNDS):
        if not inside.any():
            return np.zeros(count), []
        ties = _ties(candidates, inside)
        fits = sum((tie.weights for tie in ties), np.zeros(count))
        before, inside = inside, fits >= LEAST
        if (before == inside).all():
            break
    return fits, ties


def of_core(accounts: Numbers, core: Numbers) -> NDArray[np.bool_]:
    """Tell which accounts are of the core."""
    known = np.zeros(1 + max(int(accounts.max(initial=0)), int(core.max(initial=0))), np.bool_)
    known[core] = True
    found: NDArray[np.bool_] = known[accounts]
    return found


def _ties(candidates: Candidates, inside: NDArray[np.bool_]) -> list[Tie]:
    members, held = part_of(inside.astype(np.float64)), candidates.held
    # Accounts that send other work besides get answers to that as well.
    parts = parts_of(candidates.parts, inside)
    ties = [
        Tie("age", capped(candidates.ages.compared(members))),
        *(Tie(kind, _by_link(held[kind], inside)) for kind in held),
        Tie("client", capped(candidates.clients.compared(members))),
        Tie("output", _by_output(candidates, inside, parts)),
        # Work that is dealt out is even, whatever else an account is used for.
        Tie(VOLUME, _by_size(candidates.volume, inside, candidates.log_count)),
    ]
    if candidates.text is not None:
        ties.append(Tie("text", by_text(candidates.text.compared(members))))
    return ties


def _by_link(held: Held, inside: NDArray[np.bool_]) -> Floats:
    """Compare how common it is among the members to have the token of a member of another tenant."""
    found = np.zeros(len(inside))
    if not len(held.holders):
        return found
    mine, usual = inside[held.holders], held.usual
    _, tenants = held.tenants(mine)
    linked = tenants[held.pair] > mine
    share = (np.count_nonzero(linked & mine) + DOUBT * usual) / (np.count_nonzero(mine) + DOUBT)
    usual = min(usual, share)  # to share less than strangers do says nothing
    found[held.holders] = np.where(linked, np.log(share / usual), np.log((1 - share) / (1 - usual)))
    return capped(found)


def _by_output(candidates: Candidates, inside: NDArray[np.bool_], parts: Floats) -> Floats:
    """Compare how long answers are, where that is known: whole ones, and where there are none those that were cut."""
    found = np.zeros(len(inside))
    for known, sizes in (candidates.cut, candidates.whole):
        mine = inside[known]
        if np.count_nonzero(mine) >= _SIZED:
            found[known] = _by_size(sizes, mine, candidates.log_output, parts[known])
    return found


def _by_size(
    values: Floats, inside: NDArray[np.bool_], usual: tuple[float, float], parts: Floats | None = None
) -> Floats:
    """Compare a size with the members' and the usual one, as normal distributions.

    Of some accounts a part only may be sized as the members' are, and the rest as is usual.
    """
    values, most = values - usual[0], usual[1]
    if parts is None:
        apart = values - median(values[inside])
        deviations: Floats | float = _deviation(apart[inside], most)
    else:
        apart = values - parts * median(values[inside] / np.maximum(parts[inside], _HALF))
        deviations = np.hypot(parts * _deviation(apart[inside], most), (1 - parts) * most)
    mine = -((apart / deviations) ** 2) / 2 - np.log(deviations)
    theirs = -((values / most) ** 2) / 2 - np.log(most)
    return capped(mine - theirs)


def _deviation(apart: Floats, most: float) -> float:
    """Return the standard deviation, neither much less nor more than the usual one."""
    count = len(apart)
    squares = (apart - np.add.reduce(apart) / count) ** 2
    return min(max(float(np.sqrt(np.add.reduce(squares) / count)), 0.25 * most), most)
