"""The evidence of pools: members share payment, sign-up or addresses, as strangers do not. One of the `families`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from proxy.fingerprint.distinct import among, distinct
from proxy.hunter.background import DOUBT, tenants_of
from proxy.hunter.case import Case
from proxy.hunter.chance import beyond, excess_of
from proxy.hunter.finding import Evidence
from proxy.hunter.links import PEER, PREFIX

# Of people who share an address, this part may well share a card, too: families, shops, teams with a company's card.
# And of the users of one tool, this part may sit in an office with other users, however rare offices are.
NEIGHBOURS = 0.2
ONE_PLACE, ONE_CARD = "one place", "one card"
_NEARLY_ALL = 0.8


def pools(case: Case) -> list[Evidence]:
    """Weigh that strangers share payment, sign-up or addresses: a pool of them; one place or one card is less."""
    found = _shared(case) if case.has_text else _chained(case)
    if one_payer(found):  # who has servers that all of them call from
        found = [entry._replace(family=ONE_PLACE) if entry.family == PEER else entry for entry in found]
    return found


def of_a_tool(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return the evidence on users of one tool, for whom common addresses count as one place.

    Some bring a key of their own, with which the tool's servers call; others tell their family or office of the tool.
    """
    return [entry._replace(family=ONE_PLACE) if entry.family == PEER else entry for entry in evidence]


def one_payer(evidence: Sequence[Evidence]) -> bool:
    """Tell whether one card pays for nearly all members: those of a school, of an agency, of a platform."""
    return any(entry.family == ONE_CARD and entry.numbers.get("payer", 0.0) >= _NEARLY_ALL for entry in evidence)


def _shared(case: Case) -> list[Evidence]:
    found: list[Evidence] = []
    tenants = case.column("tenant")
    for kind, tokens in case.usual.tokens.items():
        if kind == PREFIX or kind in case.usual.common:
            continue
        values, holders = tenants_of(tokens[case.members], tenants)
        joined = holders > 1
        hits, known, pooled = int(holders[joined].sum()), int(holders.sum()), values[joined]
        sentence = (
            f"{hits} of {known} tenants share their {_word(kind)} with another of them, {_values(len(pooled))} in all; "
            f"{case.usual.linked[kind]:.0%} of all tenants share theirs."
        )
        by_chance = _by_chance(kind, known, pooled, holders[joined], case) if len(pooled) > 1 else 0.0
        if entry := _weighed(kind, hits, known, pooled, case, sentence, by_chance):
            found.append(entry)
    return found


def _weighed(
    kind: str,
    hits: int,
    known: int,
    pooled: NDArray[np.int64],
    case: Case,
    sentence: str,
    by_chance: float = 0.0,
) -> Evidence | None:
    """Weigh that `hits` of the `known` tenants with such a value share one of `pooled`; None if that is usual."""
    usual = max(case.usual.linked[kind], NEIGHBOURS)
    telling = hits - by_chance
    weight = excess_of(telling, known, usual)
    if not weight:
        return None
    numbers = {"shared": hits, "of": known, "values": len(pooled), "usual": usual}
    numbers["true_of"] = beyond(telling, known, usual)
    return _told(kind, pooled, case, weight, sentence, numbers)


def _by_chance(kind: str, known: int, pooled: NDArray[np.int64], by: NDArray[np.int64], case: Case) -> float:
    """Return how many of the tenants have one of these values just as outsiders do: a common value is nobody's pool.

    Such values are the card of all who pay nothing, or a mail provider of half the world. Senders of the same text are
    not outsiders, as they may be members not yet known. `by` is how many of the tenants have each value.
    """
    tokens, holders = case.usual.tokens[kind], case.usual.holders[kind]
    theirs = distinct(np.concatenate([case.users, case.members]))  # no others, so not to be counted
    held = tokens[theirs[case.usual.yardstick[theirs]]]
    mine = np.bincount(np.searchsorted(pooled, held[among(held, pooled)]), minlength=len(pooled))
    others = int(holders[1:].sum()) - int(np.count_nonzero(held))
    usual = (holders[pooled] - mine) / (others + DOUBT)
    return float(np.minimum(by, known * usual).sum())


def _told(
    kind: str, pooled: NDArray[np.int64], case: Case, weight: float, sentence: str, numbers: dict[str, float]
) -> Evidence:
    """Return the evidence of what members share: of a pool of a kind, or of one place or card."""
    tokens, one = case.usual.tokens[kind], len(pooled) == 1
    if kind == PEER:
        prefixes = case.usual.tokens.get(PREFIX)
        shared = among(tokens[case.members], pooled)
        one = one or (prefixes is not None and len(distinct(prefixes[case.members][shared])) == 1)
        return Evidence(ONE_PLACE if one else kind, weight, sentence, numbers)
    if one and _is_card(int(pooled[0]), tokens, case):
        numbers["payer"] = numbers["shared"] / numbers["of"]
    return Evidence(ONE_CARD if one else kind, weight, sentence, numbers)


def _is_card(value: int, tokens: NDArray[np.int32], case: Case) -> bool:
    """Tell whether a value that members share is one payer's card: most who have it send the case's text.

    The value that stands for no card, of all who pay nothing, others have as well.
    """
    theirs, holders = (int(np.count_nonzero(held == value)) for held in (tokens[case.users], tokens))
    return 2 * theirs >= holders


def _chained(case: Case) -> list[Evidence]:
    """Weigh that accounts which were found only by what they share have further kinds in common.

    The kind by which most of them hang together is how they were found, so it is told but does not count. Offices,
    homes and the addresses of mobile networks make such chains of honest people.
    """
    tenants = case.column("tenant")
    shared: dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {}  # by tenant: who shares one, who has one
    values: dict[str, NDArray[np.int64]] = {}  # that several tenants have, by kind
    _, tenant = np.unique(tenants, return_inverse=True)
    for kind, tokens in case.usual.joining.items():
        mine = tokens[case.members]
        known, holders = tenants_of(mine, tenants)
        values[kind] = known[holders > 1]
        shared[kind] = np.bincount(tenant, among(mine, values[kind])) > 0, np.bincount(tenant, mine > 0) > 0
    if not shared:
        return []
    chain = max(shared, key=lambda kind: int(shared[kind][0].sum()))
    joined, had = shared.pop(chain)
    if not joined.any():
        return []
    hits, count = int(joined.sum()), int(had.sum())
    sentence = (
        f"{hits} of {count} tenants share their {_word(chain)}, {_values(len(values[chain]))} in all: "
        "they were found by that, so it does not count."
    )
    found = [_told(chain, values[chain], case, 0.0, sentence, {"shared": hits, "of": count})]
    for kind, (theirs, have) in shared.items():
        hits, count = int((joined & theirs).sum()), int((joined & have).sum())
        sentence = (
            f"{hits} of {count} tenants that share their {_word(chain)} with others also share their {_word(kind)}, "
            f"{_values(len(values[kind]))} in all."
        )
        if entry := _weighed(kind, hits, count, values[kind], case, sentence):
            found.append(entry)
    return found


def _word(kind: str) -> str:
    return "address" if kind == PEER else kind


def _values(count: int) -> str:
    return f"{count} {'value' if count == 1 else 'values'}"
