"""What is usual in this deployment: every suspicion is measured against the accounts that nobody suspects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxy.fingerprint.distinct import among, counted, distinct
from proxy.hunter.accounts import Accounts
from proxy.hunter.chance import Floats, shape_of
from proxy.hunter.ledger import Ledger
from proxy.hunter.links import PREFIX, Links

AGE_BINS = 64
_HOUR_S = 3600.0
_HOURS_MOST = 24 * 100
# Bounds of the shape of people's use: at least as uneven as the last, never so uneven that a few counts mean nothing.
_SHAPES = (0.3, 1.0)
# A kind that nearly all have in common with others is no coincidence (a country, that an account was verified, the
# address of a gateway in between), nor is a value that a good part of all have (the card of all who pay nothing). But
# if few accounts have a kind at all, nearly all of these may be one campaign's: that is no custom of the deployment.
_NEARLY_ALL = 0.9
_GOOD_PART = 0.25
# So many usual accounts are added to those that were seen, so that nothing is certain on a first day.
DOUBT = 20.0
# The least parts of an account's exchanges in which it asks for something: a member that asks for it in half of the
# campaign's exchanges, but sends other work too or asks for several things by turns, does so in a smaller part of all.
ASKING_PARTS = np.array([0.5, 0.25, 0.125])
_HALF = 0.5
_LOWER = (1 << 32) - 1


class _Sharing(NamedTuple):
    """One kind's sharing: the ordinary accounts with a token, each one's pair of token and tenant, how many accounts
    each pair has, and whether another tenant has its token.
    """

    accounts: NDArray[np.intp]
    pair: NDArray[np.intp]
    sizes: NDArray[np.intp]
    shared: NDArray[np.bool_]


class _Fixed(NamedTuple):
    """What does not depend on accounts' weights: all accounts by their opening, and who shares what."""

    by_opening: NDArray[np.intp]
    sharing: Mapping[str, _Sharing]
    log_output: Floats  # each account's mean
    answered: NDArray[np.bool_]  # whether there is any
    asking: NDArray[np.float32]  # by account, part and wish: 1 if that part of its exchanges asks for it, else 0


@dataclass(frozen=True, slots=True)
class Background:
    """Usual shares and sizes; the arrays with a row for each account include those that are suspected.

    `ages` is the bin of each account's opening among the ordinary ones, -1 where nobody knows, and `ages_before` the
    share of ordinary accounts in the bins before each, and in all of them: many may have been opened at one moment, as
    when they were moved here. `tokens` is by kind the token of each account, 0 for none; `linked` the usual share of
    tenants that have one in common with another tenant; `holders` how many of the yardstick have each token; `joining`
    the tokens by which strangers may hang together: no networks, no values that many have, and no kind that is
    `common`, which nearly all have in common with others.
    `hours` counts active accounts by the hour since the epoch, `first_hour` being the first.
    """

    ordinary: NDArray[np.bool_]
    yardstick: NDArray[np.bool_]  # the ordinary accounts from which the usual was taken
    ages: NDArray[np.int16]
    ages_before: Floats
    ages_common: Floats  # the usual share of each bin, the first being that of the unknown
    tokens: Mapping[str, NDArray[np.int32]]
    linked: Mapping[str, float]
    holders: Mapping[str, NDArray[np.intp]]
    joining: Mapping[str, NDArray[np.int32]]
    common: frozenset[str]
    agents: NDArray[np.float64]  # the usual share of each agent, by its number
    log_output: tuple[float, float]  # mean and deviation of accounts' mean logarithm of output tokens
    log_count: tuple[float, float]
    shape: float  # of exchanges per account
    wishes: Floats  # by part and wish: the usual share of accounts that ask for it in so many of their exchanges
    hours: Floats
    first_hour: int
    fixed: _Fixed


def background(
    accounts: Accounts,
    links: Links,
    ledger: Ledger,
    suspected: NDArray[np.bool_],
    now: float,
    doubtful: NDArray[np.bool_] | None = None,
) -> Background:
    """Return what is usual, leaving out the suspected accounts where it matters.

    The `doubtful` are accused of nothing, but what is usual is not taken from them: they send what a campaign sends.
    """
    rows = accounts.rows
    ordinary = ~suspected
    if not ordinary.any():
        ordinary = np.ones(len(suspected), np.bool_)
    plain = ordinary if doubtful is None else ordinary & ~doubtful
    if not plain.any():
        plain = ordinary
    counts = rows["exchanges"][plain]
    # A bound on the hours, however wrong the clock of an exchange was.
    hours, first_hour = ledger.active_hours(~plain, now - _HOURS_MOST * _HOUR_S, now + _HOUR_S)
    tokens = {kind: _token_of(links, kind, len(accounts)) for kind in links.kinds}
    fixed = _Fixed(
        accounts.by_opening(),
        {kind: _sharing(token, rows["tenant"], plain) for kind, token in tokens.items()},
        mean_log_output(accounts),
        answered(accounts),
        asking(rows["wishes"], rows["exchanges"]).reshape(len(rows), -1).astype(np.float32),
    )
    common = {kind for kind, token in tokens.items() if _all_share(token[plain], rows["tenant"][plain])}
    return Background(
        ordinary=ordinary,
        yardstick=plain,
        tokens=tokens,
        holders={kind: np.bincount(token[plain], minlength=int(token.max()) + 1) for kind, token in tokens.items()},
        joining={
            kind: _uncommon(token, rows["tenant"]) for kind, token in tokens.items() if kind not in common | {PREFIX}
        },
        common=frozenset(common),
        log_count=(float(np.log(counts).mean()), max(0.3, float(np.log(counts).std()))),
        shape=float(np.clip(shape_of(counts), *_SHAPES)),
        hours=hours,
        first_hour=first_hour,
        fixed=fixed,
        **_habits(accounts, plain.astype(np.float64), fixed),
    )


def as_busy(members: NDArray[np.int32], accounts: Accounts, usual: Background) -> Background:
    """Return what is usual among ordinary accounts of which as many send this or that much as of these members.

    Most accounts may be of people who had a look once: beside them whoever uses the thing every day, from an office,
    with an account of last year, is alike. How much one sends, and when, stays compared with everybody.
    """
    busy = np.log2(accounts.rows["exchanges"]).astype(np.int64)
    have = np.bincount(busy[usual.yardstick], minlength=int(busy.max()) + 1)
    wanted = np.bincount(busy[members], minlength=len(have)) / np.maximum(have, 1)
    weights = np.where(usual.yardstick, wanted[busy], 0.0)
    if not weights.any():
        return usual
    # Scaled to the effective sample size (Kish 1965).
    weights *= weights.sum() / (weights**2).sum()
    return replace(usual, **_habits(accounts, weights, usual.fixed))


def mean_log_output(
    accounts: Accounts, numbers: NDArray[np.int32] | slice = slice(None), *, cut: bool = False
) -> Floats:
    """Return the mean logarithm of output tokens of these accounts, or of all; 0 where it is unknown.

    It is that of whole answers or, with `cut`, of those that were cut.
    """
    size, count = ("log_cut", "cut") if cut else ("log_output", "whole")
    mean: Floats = accounts.rows[size][numbers] / np.maximum(accounts.rows[count][numbers], 1)
    return mean


def answered(
    accounts: Accounts, numbers: NDArray[np.int32] | slice = slice(None), *, cut: bool = False
) -> NDArray[np.bool_]:
    """Tell for which of these accounts the length of answers is known, of whole ones or of cut ones."""
    known: NDArray[np.bool_] = accounts.rows["cut" if cut else "whole"][numbers] > 0
    return known


def asking(wishes: NDArray[np.float32], exchanges: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell by account, part and wish whether at least that part of an account's exchanges asks for it."""
    least: NDArray[np.bool_] = wishes[:, None, :] >= (ASKING_PARTS * exchanges[:, None])[:, :, None]
    return least


def pooled(members: NDArray[np.int32], tenants: NDArray[np.int32], usual: Background) -> NDArray[np.int32]:
    """Return the tokens of all kinds that members of different tenants have in common and that may join strangers."""
    found = [np.zeros(0, np.int32)]
    for tokens in usual.joining.values():
        values, holders = tenants_of(tokens[members], tenants[members])
        found.append(values[holders > 1].astype(np.int32))
    return np.concatenate(found)


def tenants_of(tokens: NDArray[np.int32], tenants: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each token, and how many tenants have it; 0 in `tokens` stands for none."""
    pairs = distinct(tokens[tokens > 0].astype(np.int64) << 32 | tenants[tokens > 0])
    return counted(pairs >> 32)


def _habits(accounts: Accounts, weights: Floats, fixed: _Fixed) -> dict[str, Any]:
    """Return what is usual in accounts themselves, by the field of `Background`.

    `weights` says how much each account counts, 0 for accounts that are not ordinary.
    """
    rows = accounts.rows
    ages = _ages(rows["opened"], weights, fixed.by_opening)
    sized = weights * fixed.answered
    total = max(float(sized.sum()), 1e-9)
    mean = float(sized @ fixed.log_output) / total
    deviation = float(np.sqrt(sized @ (fixed.log_output - mean) ** 2 / total))
    wishes = (weights.astype(np.float32) @ fixed.asking).astype(np.float64)
    return {
        "ages": ages,
        "ages_before": _ages_before(ages, weights),
        "ages_common": _common(ages + 1, AGE_BINS + 1, weights),
        "linked": {kind: _linked(sharing, weights) for kind, sharing in fixed.sharing.items()},
        "agents": _common(rows["agent"], int(rows["agent"].max(initial=0)) + 1, weights),
        "log_output": (mean, max(0.3, deviation)),
        "wishes": (wishes.reshape(len(ASKING_PARTS), -1) + 1.0) / (weights.sum() + DOUBT),
    }


def _ages(opened: Floats, weights: Floats, order: NDArray[np.intp]) -> NDArray[np.int16]:
    """Return the bin of each opening, by that of the ordinary accounts; bins hold equally many of these, if possible.

    With a campaign's accounts among them, all others would crowd into the few bins left. `order` has all accounts by
    their opening.
    """
    bins = np.full(len(opened), -1, np.int16)
    order = order[opened[order] > 0]
    moments = np.flatnonzero(np.diff(opened[order], prepend=0.0))  # at which the first of several was opened
    before = np.concatenate([np.zeros(1), weights[order].cumsum()])
    places = before[moments] * AGE_BINS // max(before[-1], 1e-9)
    bins[order] = np.minimum(places, AGE_BINS - 1).repeat(np.diff(moments, append=len(order)))
    return bins


def _ages_before(ages: NDArray[np.int16], weights: Floats) -> Floats:
    """Return the share of openings before each bin; the `DOUBT` accounts are spread as all with a known opening.

    Few ordinary openings may be known, or none: then all known openings count as usual.
    """
    known = ages[ages >= 0]
    all_known = np.bincount(known, minlength=AGE_BINS) if len(known) else np.ones(AGE_BINS)
    counts = np.bincount(known, weights[ages >= 0], minlength=AGE_BINS) + DOUBT * all_known / all_known.sum()
    return np.concatenate([np.zeros(1), counts.cumsum() / counts.sum()])


def _common(values: NDArray[np.signedinteger[Any]], kinds: int, weights: Floats) -> Floats:
    """Return the share of each value, counting each once more than it was seen."""
    counts = np.bincount(values, weights, minlength=kinds) + 1.0
    shares: Floats = counts / counts.sum()
    return shares


def _token_of(links: Links, kind: str, count: int) -> NDArray[np.int32]:
    """Return one token of each account, 0 for none; of several, the one that most accounts have."""
    tokens, owners = links.of_kind(kind)
    best = np.full(count, -1, np.int64)  # how many have it, and in the lower half its place: of equals the last
    if len(tokens):
        np.maximum.at(best, owners.astype(np.intp), np.bincount(tokens)[tokens] << 32 | np.arange(len(tokens)))
    chosen = np.zeros(count, np.int32)
    known = best >= 0
    chosen[known] = tokens[best[known] & _LOWER]
    return chosen


def _all_share(tokens: NDArray[np.int32], tenants: NDArray[np.int32]) -> bool:
    """Tell whether a good part of the tenants have a token, and nearly all of these share it with another."""
    _, holders = tenants_of(tokens, tenants)
    having = int(holders.sum())
    many = having >= _GOOD_PART * len(distinct(tenants))
    return many and int(holders[holders > 1].sum()) >= _NEARLY_ALL * having


def _uncommon(tokens: NDArray[np.int32], tenants: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return each account's token, with 0 for one that a good part of the tenants with any token have.

    If less than half of all tenants have any, that part is of half of all tenants.
    """
    values, holders = tenants_of(tokens, tenants)
    common = values[holders >= _GOOD_PART * max(int(holders.sum()), _HALF * len(distinct(tenants)))]
    return np.where(among(tokens, common), 0, tokens).astype(np.int32)


def _sharing(tokens: NDArray[np.int32], tenants: NDArray[np.int32], ordinary: NDArray[np.bool_]) -> _Sharing:
    has = np.flatnonzero(ordinary & (tokens > 0))
    pairs, pair, sizes = np.unique(
        tokens[has].astype(np.int64) << 32 | tenants[has], return_inverse=True, return_counts=True
    )
    _, holders = counted(pairs >> 32)
    return _Sharing(has, pair, sizes, np.repeat(holders > 1, holders))


def _linked(sharing: _Sharing, weights: Floats) -> float:
    """Return the share of tenants that have their token in common with another tenant, damped by `DOUBT`."""
    counts = np.bincount(sharing.pair, weights[sharing.accounts], minlength=len(sharing.sizes)) / sharing.sizes
    return (float(counts[sharing.shared].sum()) + 1.0) / (float(counts.sum()) + DOUBT)
