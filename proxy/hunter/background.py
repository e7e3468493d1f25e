"""What is usual in this deployment: every suspicion is measured against the accounts that nobody suspects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.accounts import Accounts
from proxy.hunter.chance import Floats, shape_of
from proxy.hunter.ledger import Ledger
from proxy.hunter.links import PREFIX, Links

AGE_BINS = 64
_HOUR_S = 3600.0
_HOURS_MOST = 24 * 100
# People's use spreads at least as unevenly as this, and never so unevenly that a few counts mean nothing.
_SHAPES = (0.3, 1.0)
# So many ordinary accounts count beside those that were seen, so that a first day is not certain of anything.
_DOUBT = 20.0
_HALF = 0.5
_LOWER = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Background:
    """Usual shares and sizes; the arrays with a row for each account include those that are suspected.

    `ages` is the bin of each account's opening among the ordinary ones, -1 where nobody knows, and `ages_before` the
    share of ordinary accounts in the bins before each, and in all of them: many may have been opened at one moment, as
    when they were moved here. `tokens` is by kind the token of each
    account, 0 for none; `linked` the usual share of tenants that have one in common with another tenant. `hours`
    counts active accounts by the hour since the epoch, `first_hour` being the first.
    """

    now: float
    ordinary: NDArray[np.bool_]
    ages: NDArray[np.int16]
    ages_before: Floats
    ages_common: Floats  # the usual share of each bin, the first being that of the unknown
    tokens: Mapping[str, NDArray[np.int32]]
    linked: Mapping[str, float]
    agents: NDArray[np.float64]  # the usual share of each agent, by its number
    log_output: tuple[float, float]  # mean and deviation of accounts' mean logarithm of output tokens
    log_count: tuple[float, float]
    shape: float  # of exchanges per account
    wishes: Floats  # the usual share of accounts that ask for such a thing in half of their exchanges
    hours: Floats
    first_hour: int


def background(
    accounts: Accounts, links: Links, ledger: Ledger, suspected: NDArray[np.bool_], now: float
) -> Background:
    """Take stock, with the accounts that are suspected left out where it matters."""
    rows = accounts.rows
    ordinary = ~suspected
    if not ordinary.any():
        ordinary = np.ones(len(suspected), np.bool_)
    tenants, exchanges = rows["tenant"], rows["exchanges"]
    tokens = {kind: _token_of(links, kind, len(accounts)) for kind in links.kinds}
    counts = exchanges[ordinary]
    mean_log = mean_log_output(accounts)[ordinary]
    shares = rows["wishes"][ordinary] >= _HALF * counts[:, None]
    # Whatever clock an exchange was told by, there are so many hours at most.
    hours, first_hour = ledger.active_hours(~ordinary, now - _HOURS_MOST * _HOUR_S, now + _HOUR_S)
    ages = _ages(rows["opened"], ordinary)
    return Background(
        now=now,
        ordinary=ordinary,
        ages=ages,
        ages_before=_ages_before(ages[ordinary]),
        ages_common=_common(ages[ordinary] + 1, AGE_BINS + 1),
        tokens=tokens,
        linked={kind: _linked(token[ordinary], tenants[ordinary]) for kind, token in tokens.items()},
        agents=_common(rows["agent"][ordinary], int(rows["agent"].max(initial=0)) + 1),
        log_output=(float(mean_log.mean()), max(0.3, float(mean_log.std()))),
        log_count=(float(np.log(counts).mean()), max(0.3, float(np.log(counts).std()))),
        shape=float(np.clip(shape_of(counts), *_SHAPES)),
        wishes=(shares.sum(axis=0) + 1.0) / (len(counts) + _DOUBT),
        hours=hours,
        first_hour=first_hour,
    )


def mean_log_output(accounts: Accounts) -> Floats:
    """Return each account's mean logarithm of output tokens."""
    mean: Floats = accounts.rows["log_output"] / np.maximum(accounts.rows["exchanges"], 1)
    return mean


def pooled(members: NDArray[np.int32], tenants: NDArray[np.int32], usual: Background) -> set[tuple[str, int]]:
    """Return the tokens, by kind, that members of different tenants have in common; networks aside."""
    found: set[tuple[str, int]] = set()
    for kind, tokens in usual.tokens.items():
        if kind != PREFIX:
            values, holders = tenants_of(tokens[members], tenants[members])
            found.update((kind, value) for value in values[holders > 1].tolist())
    return found


def tenants_of(tokens: NDArray[np.int32], tenants: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each token there is, and how many tenants have it; `tokens` has 0 for none."""
    pairs = np.unique(tokens[tokens > 0].astype(np.int64) << 32 | tenants[tokens > 0])
    values, holders = np.unique(pairs >> 32, return_counts=True)
    return values, holders


def _ages(opened: Floats, ordinary: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return in which part of the ordinary openings each falls; the bins hold the same number of accounts, if they can.

    A campaign's accounts would make everybody else look as if opened in what they leave over.
    """
    known = opened > 0
    bins = np.full(len(opened), -1, np.int16)
    edges = np.sort(opened[known & ordinary])
    places = np.searchsorted(edges, opened[known]) * AGE_BINS // max(1, len(edges))
    bins[known] = np.minimum(places, AGE_BINS - 1)
    return bins


def _ages_before(ages: NDArray[np.int16]) -> Floats:
    counts = np.bincount(ages[ages >= 0], minlength=AGE_BINS) + _DOUBT / AGE_BINS
    return np.concatenate([np.zeros(1), counts.cumsum() / counts.sum()])


def _common(values: NDArray[np.signedinteger[Any]], kinds: int) -> Floats:
    """Return the share of each value, as if each had been there once more."""
    counts = np.bincount(values, minlength=kinds) + 1.0
    shares: Floats = counts / counts.sum()
    return shares


def _token_of(links: Links, kind: str, count: int) -> NDArray[np.int32]:
    """Return one token of each account, 0 for none: the one that most accounts have, of several."""
    tokens, owners = links.of_kind(kind)
    best = np.full(count, -1, np.int64)  # how many have it, and in the lower half its place: of equals the last
    if len(tokens):
        np.maximum.at(best, owners, np.bincount(tokens)[tokens] << 32 | np.arange(len(tokens)))
    chosen = np.zeros(count, np.int32)
    known = best >= 0
    chosen[known] = tokens[best[known] & _LOWER]
    return chosen


def _linked(tokens: NDArray[np.int32], tenants: NDArray[np.int32]) -> float:
    """Return the share of tenants that have their token in common with another tenant, with some doubt added."""
    _, holders = tenants_of(tokens, tenants)
    return (float(holders[holders > 1].sum()) + 1.0) / (int(holders.sum()) + _DOUBT)
