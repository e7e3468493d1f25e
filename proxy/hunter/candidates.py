"""The accounts that may belong to a case, with the traits by which they are compared with its members and all others.

The two opinions on who belongs, `membership` and `mixture`, ask the same in a dozen rounds each, of hundreds of groups,
most of them small: what does not change between rounds is worked out here, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.accounts import Accounts
from proxy.hunter.background import Background, answered, mean_log_output
from proxy.hunter.chance import Floats
from proxy.hunter.ids import Numbers
from proxy.hunter.links import PREFIX
from proxy.hunter.traits import DOUBT, PASSERS_BY, shares_of

Places = NDArray[np.intp]


class Part(NamedTuple):
    """A part of the candidates: how likely each is in it, how many it has, and how many besides each, with doubt."""

    each: Floats
    total: float
    others: Floats


class Kinds(NamedTuple):
    """The kind of each candidate, how many kinds there are, how common each usually is, and the doubt added to it."""

    kind: Places
    kinds: int
    usual: Floats
    doubt: Floats

    def common(self, part: Part) -> Floats:
        """Return how common each candidate's kind is in a part of them, without itself."""
        common: Floats = np.bincount(self.kind, part.each, self.kinds)[self.kind] - part.each
        common += self.doubt
        common /= part.others
        return common

    def compared(self, part: Part) -> Floats:
        """Compare how common each one's kind is in a part with how common it usually is."""
        common = self.common(part)
        common /= self.usual
        return np.log(common, out=common)


class Held(NamedTuple):
    """Who has a token of a kind, with each one's pair of token and tenant, and the token of each pair, all from 0.

    `usual` is the usual share of tenants that have their token in common with another.
    """

    holders: Places
    pair: Places
    token: Places  # of each pair
    usual: float

    @property
    def in_common(self) -> bool:
        """Whether any token is of two tenants."""
        return bool(len(self.token)) and int(self.token[-1]) + 1 < len(self.token)

    def tenants(self, inside: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Places]:
        """Return which pairs the holders inside have, and for each pair how many of their tenants have its token."""
        having = np.bincount(self.pair, inside, len(self.token)) > 0
        return having, np.bincount(self.token, having)[self.token].astype(np.intp)


class Answers(NamedTuple):
    """For whom the length of answers is known, and that length: the mean of the logarithms."""

    known: NDArray[np.bool_]
    sizes: Floats


@dataclass(frozen=True, slots=True)
class Candidates:
    """Accounts with their traits; `text` is how much each sends of the case's text, None if the case has none."""

    accounts: Numbers
    text: Kinds | None
    ages: Kinds
    clients: Kinds
    held: Mapping[str, Held]
    cut: Answers
    whole: Answers
    log_output: tuple[float, float]
    volume: Floats  # the logarithm of what each sends
    log_count: tuple[float, float]
    parts: Floats  # which part of what each sends that is


def candidates_of(numbers: Numbers, uses: Floats | None, accounts: Accounts, usual: Background) -> Candidates:
    """Return accounts as candidates; `uses` is how many exchanges of each have the case's text, None without text."""
    rows = accounts.rows
    exchanges, tenants = rows["exchanges"][numbers], rows["tenant"][numbers]
    sent = exchanges if uses is None else uses
    return Candidates(
        accounts=numbers,
        text=None if uses is None else _kinds(shares_of(uses, exchanges), PASSERS_BY),
        ages=_kinds(usual.ages[numbers].astype(np.intp) + 1, usual.ages_common),  # 0 is unknown
        clients=_kinds(rows["agent"][numbers].astype(np.intp), usual.agents),
        held={
            kind: _held(tokens[numbers], tenants, usual.linked[kind])
            for kind, tokens in usual.tokens.items()
            if kind != PREFIX
        },
        cut=_answers(numbers, accounts, cut=True),
        whole=_answers(numbers, accounts, cut=False),
        log_output=usual.log_output,
        volume=np.log(np.maximum(1, sent)),
        log_count=usual.log_count,
        parts=np.clip(sent / exchanges, 0, 1),
    )


def part_of(each: Floats) -> Part:
    """Return the part that candidates make, given how likely each is in it."""
    total = float(each.sum())
    return Part(each, total, total - each + DOUBT)


def _kinds(values: Places, common: Floats) -> Kinds:
    usual = common[values]
    return Kinds(values, len(common), usual, DOUBT * usual)


def _held(tokens: Numbers, tenants: Numbers, usual: float) -> Held:
    holders = np.flatnonzero(tokens > 0)
    pairs = tokens[holders].astype(np.int64) << 32 | tenants[holders]
    order = pairs.argsort()
    pair, known = np.empty(len(order), np.intp), pairs[order]
    pair[order], known = _numbered(known)
    return Held(holders, pair, _numbered(known >> 32)[0], usual)


def _numbered(ordered: NDArray[np.int64]) -> tuple[Places, NDArray[np.int64]]:
    """Return of values that are in order which in a row each is, from 0, and each of them once."""
    begins = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    return begins.cumsum() - 1, ordered[begins]


def _answers(numbers: Numbers, accounts: Accounts, *, cut: bool) -> Answers:
    known = answered(accounts, numbers, cut=cut)
    return Answers(known, mean_log_output(accounts, numbers[known], cut=cut))
