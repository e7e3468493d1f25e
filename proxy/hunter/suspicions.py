"""The first look: which prints are used by accounts that have more in common than chance explains, and which accounts
hang together by payment and addresses alone.

A suspicion accuses nobody; it says where to look closer. Prints are looked at again when their users have grown by an
eighth, or their uses to twice as many, by an eighth where they ask for what tells, so that a print costs little however
long it lives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxy.fingerprint.distinct import counted, distinct
from proxy.hunter.background import AGE_BINS, Background
from proxy.hunter.chance import SUSPICIOUS, Floats, excess
from proxy.hunter.dealing import USES_LEAST, mark_dealt
from proxy.hunter.ids import Numbers
from proxy.hunter.postings import Postings
from proxy.hunter.uses import Uses, of_several, repeated, uses_in_order

_GROWTH = 8
_MORE_USE = 2
# Of the prints that are looked at together: to look takes some 150 bytes a user, and a kilobyte a print, on the way.
_USERS_AT_ONCE, _PRINTS_AT_ONCE = 1 << 20, 4096
_WIDTHS = (1, 2, 4, 8, 16, 32)  # of windows, in bins of the age
_ROUNDED, _HARDLY = 0.9, np.float32(1e-3)  # what is passed over is so far from suspicious that no rounding counts


class Suspicion(NamedTuple):
    """Accounts that one print joins, or one bundle of links (then `key` is 0); `users` is how many have it in all."""

    weight: float
    key: int
    accounts: Numbers
    users: int

    @property
    def part(self) -> float:
        """How much of its users they are."""
        return len(self.accounts) / self.users


class Told(NamedTuple):
    """What is known already: of each account the number of its finding, -1 for none; and which prints a group has."""

    findings: Numbers
    prints: NDArray[np.bool_]


def suspicious_prints(
    postings: Postings, tenants: Numbers, usual: Background, told: Told, least: int
) -> list[Suspicion]:
    """Return prints with at least so many users that have too much in common, except where all that is told already.

    Those come first that hardly anybody else uses: public text, that accounts of several campaigns and many others
    send, joins what belongs apart. And those last whose users have nothing in common but what they ask for.
    """
    numbers = _due(postings, least)
    users = postings.prints["users"]
    keys = postings.print_keys()
    found: list[Suspicion] = []
    asking: list[Suspicion] = []
    several = of_several(tenants)
    # What one account alone has, none of its prints' other users has: most addresses and cards.
    telling = {
        kind: np.where(of_several(tokens), tokens, 0)
        for kind, tokens in usual.tokens.items()
        if kind not in usual.common
    }
    for part in in_parts(numbers, users[numbers], _USERS_AT_ONCE, _PRINTS_AT_ONCE):
        marked = np.zeros(len(users), np.bool_)
        marked[part] = True
        uses = uses_in_order(*postings.users_of(marked), tenants, several)
        found.extend(_suspicious(uses, telling, keys, usual, told, least))
        mark_dealt(postings, uses, tenants, usual)
        asking.extend(_asking(postings, uses, keys, usual, told))
    joined = {suspicion.key for suspicion in found}
    in_order = sorted(found, key=lambda suspicion: (-round(suspicion.part, 1), -suspicion.weight))
    return [*in_order, *(suspicion for suspicion in asking if suspicion.key not in joined)]


def _due(postings: Postings, least: int) -> NDArray[np.intp]:
    """Return the prints that have to be looked at now, and note that they are."""
    users, asked_at = postings.prints["users"], postings.prints["asked_at"]
    uses, asked_uses = postings.prints["uses"], postings.prints["asked_uses"]
    grown = (users * _GROWTH >= asked_at * (_GROWTH + 1)) | (uses >= _MORE_USE * asked_uses)
    due = np.flatnonzero((users >= least) & grown)
    asked_at[due], asked_uses[due] = users[due], uses[due]
    return due


def in_parts(numbers: NDArray[np.intp], sizes: Numbers, most: int, most_numbers: int) -> Iterator[NDArray[np.intp]]:
    """Yield numbers in their order, so many at once at most, and so many that their sizes are about that together."""
    ends = sizes.cumsum(dtype=np.int64)
    start = 0
    while start < len(numbers):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        stop = min(stop, start + most_numbers)
        yield numbers[start:stop]
        start = stop


def suspicious_links(tenants: Numbers, usual: Background, least: int) -> list[Suspicion]:
    """Return accounts that hang together by tokens that several tenants have, however they are chained."""
    count = len(tenants)
    edges = [
        (shared, np.flatnonzero(shared))
        for tokens in usual.joining.values()
        if (shared := _shared_tokens(tokens, tenants)).any()
    ]
    if not edges:
        return []
    groups = np.arange(count)
    while True:
        before = groups.copy()
        for tokens, owners in edges:
            lowest = np.full(int(tokens.max()) + 1, count)
            np.minimum.at(lowest, tokens[owners], groups[owners])
            groups[owners] = np.minimum(groups[owners], lowest[tokens[owners]])
        groups = groups[groups]
        if (groups == before).all():
            break
    sizes = np.bincount(groups, minlength=count)
    order = np.argsort(groups, kind="stable")
    ends = np.cumsum(sizes)
    return [
        Suspicion(0.0, 0, order[ends[group] - sizes[group] : ends[group]].astype(np.int32), int(sizes[group]))
        for group in np.flatnonzero(sizes >= least).tolist()
    ]


def _suspicious(
    uses: Uses, telling: Mapping[str, Numbers], keys: NDArray[np.uint64], usual: Background, told: Told, least: int
) -> Iterator[Suspicion]:
    """Look at what the users of each print have in common; `telling` are the tokens that tell."""
    count, once = len(uses.numbers), uses.once
    rows, who = uses.rows[once], uses.owners[once]
    totals = np.bincount(rows, minlength=count)
    best, low, high = _aged(rows, who, totals, usual)
    kind_of = np.zeros(count, np.int8)
    linked: list[NDArray[np.bool_]] = []
    for number, (kind, tokens) in enumerate(telling.items(), 1):
        linked.append(repeated(rows, tokens[who]))
        hits = np.bincount(rows[linked[-1]], minlength=count)
        weight = excess(hits, totals, usual.linked[kind])
        better = weight > best
        best, kind_of = np.where(better, weight, best), np.where(better, number, kind_of)
    looked_at = (best >= SUSPICIOUS) & (totals >= least)
    if not looked_at.any():
        return
    ages = usual.ages[uses.owners]
    joined = (looked_at & (kind_of == 0))[uses.rows] & (ages >= low[uses.rows]) & (ages < high[uses.rows])
    for number, common in enumerate(linked, 1):
        joined[once[common & (looked_at & (kind_of == number))[rows]]] = True
    accounts, row_of = uses.owners[joined], uses.rows[joined]
    ends = np.bincount(row_of, minlength=count).cumsum()
    known = told.prints[uses.numbers] & _mostly_of_one(row_of, told.findings[accounts], count)
    for row in np.flatnonzero(looked_at & ~known).tolist():
        users = accounts[ends[row - 1] if row else 0 : ends[row]]
        if len(users) >= least:
            yield Suspicion(float(best[row]), int(keys[uses.numbers[row]]), users, int(uses.sizes[row]))


def _asking(
    postings: Postings, uses: Uses, keys: NDArray[np.uint64], usual: Background, told: Told
) -> Iterator[Suspicion]:
    """Look at the prints of texts that are dealt out, for what their users ask for.

    Of old accounts that share nothing only this tells. Without an even hand behind it, every prompt of those who like
    reasoning would be looked at. But whether a text is dealt out may show at some hours only: each time that some of
    its users have just begun, it looks uneven. So those that ask for what tells are looked at again soon.
    """
    numbers, row_of, users_of, owners = uses.numbers, uses.rows, uses.sizes, uses.owners
    by_hand = np.zeros(len(usual.yardstick), np.bool_)
    by_hand[owners[postings.prints["dealt"][numbers][row_of]]] = True
    dealt = 2 * uses.by_print(by_hand[owners]) >= users_of
    looked_at = dealt | (np.bincount(row_of, uses.times, len(numbers)) >= USES_LEAST * users_of)
    marked = told.prints[numbers]
    if marked.any():
        looked_at &= ~(marked & _mostly_of_one(row_of, told.findings[owners], len(numbers)))
    mine = looked_at[row_of]
    rows, who = row_of[mine], owners[mine]
    asking = [np.bincount(rows, column[who], len(numbers)) for column in usual.fixed.asking.T]
    weights = excess(np.stack(asking, axis=1), users_of[:, None], usual.wishes.ravel()).max(axis=1)
    wanted = looked_at & (weights >= SUSPICIOUS)
    soon = numbers[wanted & ~dealt]
    postings.prints["asked_uses"][soon] = postings.prints["uses"][soon] // _MORE_USE * (_GROWTH + 1) // _GROWTH
    ends = uses.ends
    for row in np.flatnonzero(wanted & dealt).tolist():
        users = owners[ends[row] - users_of[row] : ends[row]]
        yield Suspicion(float(weights[row]), int(keys[numbers[row]]), users, len(users))


def _mostly_of_one(rows: NDArray[np.intp], findings: Numbers, count: int) -> NDArray[np.bool_]:
    """Tell of each row whether one finding has half of its accounts."""
    told = findings >= 0
    cells, times = counted(np.sort(rows[told] << 32 | findings[told]))
    most = np.zeros(count, np.int64)
    np.maximum.at(most, cells >> 32, times)
    mostly: NDArray[np.bool_] = 2 * most >= np.bincount(rows, minlength=count)
    return mostly


def _aged(
    rows: NDArray[np.intp], who: Numbers, totals: NDArray[np.intp], usual: Background
) -> tuple[Floats, Numbers, Numbers]:
    """Return for each print the weight of the window of openings that explains most, and the window's bins.

    Where none is suspicious, 0. Few are, and logarithms are most of the work: what is no more than that many times the
    usual variance from what is usual is none, since the divergence of two shares is no more than that either.
    """
    count, ages = len(totals), usual.ages[who]
    known = ages >= 0
    cells = np.bincount(rows[known] * AGE_BINS + ages[known], minlength=count * AGE_BINS).reshape(count, AGE_BINS)
    sums = np.zeros((count, AGE_BINS + 1), np.float32)  # exact: there are fewer accounts than such a number tells apart
    np.cumsum(cells, axis=1, out=sums[:, 1:], dtype=np.float32)
    of = sums[:, -1]
    by_size = np.stack([of, np.sqrt(of)], axis=1)
    best, low, high = np.zeros(count), np.zeros(count, np.int32), np.zeros(count, np.int32)
    for width in _WIDTHS:
        expected = usual.ages_before[width:] - usual.ages_before[:-width]
        deviation = np.sqrt(np.maximum(0.0, expected * (1 - expected)) * (_ROUNDED * SUSPICIOUS))
        inside = sums[:, width:] - sums[:, :-width]
        usually = by_size @ np.stack([expected, deviation]).astype(np.float32)
        print_of, start = np.divmod(np.flatnonzero(inside > usually + _HARDLY), len(expected))
        if not len(print_of):
            continue
        weights = excess(inside[print_of, start], of[print_of], expected[start])
        order = np.lexsort((-weights, print_of))  # of equals the first
        order = order[np.flatnonzero(np.diff(print_of[order], prepend=-1))]
        order = order[weights[order] > best[print_of[order]]]
        better, start = print_of[order], start[order]
        best[better], low[better], high[better] = weights[order], start, start + width
    return best, low, high


def _shared_tokens(tokens: Numbers, tenants: Numbers) -> Numbers:
    """Return the token of each account, or 0 if only one tenant has it."""
    pairs = distinct(tokens.astype(np.int64) << 32 | tenants)
    tenants_of = np.bincount(pairs >> 32, minlength=int(tokens.max(initial=0)) + 1)
    return np.where((tokens > 0) & (tenants_of[tokens] > 1), tokens, 0).astype(np.int32)
