"""Who belongs to a case: an account is compared with those already in it and with everybody else, trait by trait.

Text says who may belong; it never says who does. Each trait is capped, so that one coincidence makes nobody a member.
Honest users of the same prompt are told apart by `mixture`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from proxy.fingerprint.distinct import distinct
from proxy.hunter.accounts import Accounts
from proxy.hunter.background import Background, answered, mean_log_output
from proxy.hunter.chance import Floats
from proxy.hunter.ids import Numbers
from proxy.hunter.links import PREFIX
from proxy.hunter.traits import DOUBT, PASSERS_BY, by_text, capped, parts_of, shares_of

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


def judge_members(
    candidates: Numbers, core: Numbers, uses: Floats | None, accounts: Accounts, usual: Background
) -> tuple[Floats, list[Tie]]:
    """Return how well each candidate fits those of the core that belong together, in all and trait by trait.

    `uses` is how many exchanges of each candidate have the case's text, None if it has none. Those who fit are the
    core of the next round, until nothing changes; without anybody who fits, nobody does.
    """
    inside = np.isin(candidates, core)
    fits, ties = np.zeros(len(candidates)), list[Tie]()
    for _ in range(_ROUNDS):
        if not inside.any():
            return np.zeros(len(candidates)), []
        ties = _ties(candidates, inside, uses, accounts, usual)
        fits = sum((tie.weights for tie in ties), np.zeros(len(candidates)))
        before, inside = inside, fits >= LEAST
        if (before == inside).all():
            break
    return fits, ties


def _ties(
    candidates: Numbers, inside: np.ndarray, uses: Floats | None, accounts: Accounts, usual: Background
) -> list[Tie]:
    rows = accounts.rows
    ties = [Tie("age", _by_share(usual.ages[candidates].astype(np.int64) + 1, inside, usual.ages_common))]
    for kind, tokens in usual.tokens.items():
        if kind != PREFIX:
            ties.append(Tie(kind, _by_link(tokens[candidates], inside, rows["tenant"][candidates], usual.linked[kind])))
    agents = rows["agent"][candidates]
    ties.append(Tie("client", _by_share(agents, inside, usual.agents)))
    exchanges = rows["exchanges"][candidates]
    sent = exchanges if uses is None else uses
    # Who sends other work besides gets answers to that as well.
    parts = parts_of(sent, exchanges, inside)
    ties.append(Tie("output", _by_output(candidates, inside, parts, accounts, usual)))
    # Work that is dealt out is even, whatever else an account is used for.
    ties.append(Tie(VOLUME, _by_size(np.log(np.maximum(1, sent)), inside, usual.log_count)))
    if uses is not None:
        share = shares_of(uses, exchanges)
        ties.append(Tie("text", by_text(np.log(_likely(share, inside, PASSERS_BY) / PASSERS_BY[share]))))
    return ties


def _by_share(values: np.ndarray, inside: np.ndarray, common: Floats) -> Floats:
    """Compare how common each one's value is among the members and among the others; a member does not count itself."""
    return capped(np.log(_likely(values, inside, common) / common[values]))


def _likely(values: np.ndarray, inside: np.ndarray, usual: Floats) -> Floats:
    """Return how common each one's value is among the other members."""
    mine = np.bincount(values[inside], minlength=len(usual))[values] - inside
    likely: Floats = (mine + DOUBT * usual[values]) / (inside.sum() - inside + DOUBT)
    return likely


def _by_link(tokens: np.ndarray, inside: np.ndarray, tenants: np.ndarray, usual: float) -> Floats:
    """Compare how common it is among the members to have the token of a member of another tenant."""
    pairs = distinct(tokens[inside].astype(np.int64) << 32 | tenants[inside])
    holders = np.bincount(pairs >> 32, minlength=int(tokens.max(initial=0)) + 1)[tokens]
    known = tokens > 0
    linked = known & (holders - inside > 0)
    share = (linked[inside].sum() + DOUBT * usual) / (known[inside].sum() + DOUBT)
    usual = min(usual, share)  # to share less than strangers do says nothing
    weights = np.where(linked, np.log(share / usual), np.log((1 - share) / (1 - usual)))
    return capped(np.where(known, weights, 0.0))


def _by_output(candidates: Numbers, inside: np.ndarray, parts: Floats, accounts: Accounts, usual: Background) -> Floats:
    """Compare how long answers are, where that is known: whole ones, and where there are none those that were cut."""
    found = np.zeros(len(candidates))
    for cut in (True, False):
        known = answered(accounts, candidates, cut=cut)
        if np.count_nonzero(inside[known]) >= _SIZED:
            sizes = mean_log_output(accounts, candidates[known], cut=cut)
            found[known] = _by_size(sizes, inside[known], usual.log_output, parts[known])
    return found


def _by_size(values: Floats, inside: np.ndarray, usual: tuple[float, float], parts: Floats | None = None) -> Floats:
    """Compare a size with the members' and the usual one, as normal distributions.

    Of some accounts a part only may be sized as the members' are, and the rest as is usual.
    """
    values, most = values - usual[0], usual[1]
    parts = np.ones(len(values)) if parts is None else parts
    expected = parts * float(np.median(values[inside] / np.maximum(parts[inside], _HALF)))
    deviation = float(np.clip((values - expected)[inside].std(), 0.25 * most, most))
    deviations = np.hypot(parts * deviation, (1 - parts) * most)
    mine = -(((values - expected) / deviations) ** 2) / 2 - np.log(deviations)
    theirs = -((values / most) ** 2) / 2 - np.log(most)
    return capped(mine - theirs)
