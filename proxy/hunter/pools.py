"""The evidence of pools: members share payment, sign-up or addresses, as strangers do not. One of the `families`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.background import tenants_of
from proxy.hunter.case import Case
from proxy.hunter.chance import beyond, excess
from proxy.hunter.finding import Evidence
from proxy.hunter.links import PEER, PREFIX

# Of people who share an address, such a part may well share a card too: families, shops, teams with a company's card.
# And of those who use one tool, such a part may sit in an office with others who do, however rare offices are.
NEIGHBOURS = 0.2
ONE_PLACE, ONE_CARD = "one place", "one card"
_NEARLY_ALL = 0.8


def pools(case: Case) -> list[Evidence]:
    """Weigh that strangers share payment, sign-up or addresses: a pool of them; one place or one card is less."""
    found = _shared(case) if case.has_text else _chained(case)
    if one_payer(found):  # who has servers that all of them call from
        found = [entry._replace(family=ONE_PLACE) if entry.family == PEER else entry for entry in found]
    return found


def one_payer(evidence: Sequence[Evidence]) -> bool:
    """Tell whether one card pays for nearly all members: those of a school, of an agency, of a platform."""
    return any(entry.family == ONE_CARD and entry.numbers.get("true_of", 1.0) >= _NEARLY_ALL for entry in evidence)


def _shared(case: Case) -> list[Evidence]:
    found: list[Evidence] = []
    tenants = case.column("tenant")
    for kind, tokens in case.usual.tokens.items():
        if kind == PREFIX:
            continue
        mine = tokens[case.members]
        values, holders = tenants_of(mine, tenants)
        hits, known, pooled = int(holders[holders > 1].sum()), int(holders.sum()), values[holders > 1]
        usual = max(case.usual.linked[kind], NEIGHBOURS)
        weight = float(excess(hits, known, usual))
        if not weight:
            continue
        sentence = (
            f"{hits} of {known} tenants have their {_word(kind)} in common with another of them, by "
            f"{_values(len(pooled))}; {case.usual.linked[kind]:.0%} of all tenants share theirs."
        )
        numbers = {"shared": hits, "of": known, "values": len(pooled), "usual": usual}
        numbers["true_of"] = beyond(hits, known, usual)
        found.append(Evidence(_pool_of(kind, np.isin(mine, pooled), len(pooled), case), weight, sentence, numbers))
    return found


def _pool_of(kind: str, shared: NDArray[np.bool_], values: int, case: Case) -> str:
    """Return the family of what members share: a pool of a kind, or one place or card."""
    one = values == 1
    if kind == PEER and values:
        prefixes = case.usual.tokens.get(PREFIX)
        one = one or (prefixes is not None and len(np.unique(prefixes[case.members][shared])) == 1)
    return (ONE_PLACE if kind == PEER else ONE_CARD) if one else kind


def _chained(case: Case) -> list[Evidence]:
    """Weigh that accounts which were found by what they share, and by nothing else, share more than that.

    By which of them most hang together, they all do: that is how they were found, so it is told and does not count.
    Offices, homes and the addresses of mobile networks make such chains of honest people.
    """
    tenants = case.column("tenant")
    shared: dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {}  # by tenant: who shares one, who has one
    families: dict[str, tuple[str, int]] = {}  # by kind, with how many values
    _, tenant = np.unique(tenants, return_inverse=True)
    for kind, tokens in case.usual.tokens.items():
        if kind != PREFIX:
            mine = tokens[case.members]
            values, holders = tenants_of(mine, tenants)
            pooled = np.isin(mine, values[holders > 1])
            shared[kind] = np.bincount(tenant, pooled) > 0, np.bincount(tenant, mine > 0) > 0
            count = int((holders > 1).sum())
            families[kind] = _pool_of(kind, pooled, count, case), count
    if not shared:
        return []
    chain = max(shared, key=lambda kind: int(shared[kind][0].sum()))
    joined, had = shared.pop(chain)
    if not joined.any():
        return []
    found = [_chain(chain, int(joined.sum()), int(had.sum()), *families[chain])]
    for kind, (theirs, have) in shared.items():
        hits, known = int((joined & theirs).sum()), int((joined & have).sum())
        usual = max(case.usual.linked[kind], NEIGHBOURS)
        weight = float(excess(hits, known, usual))
        if not weight:
            continue
        family, count = families[kind]
        sentence = (
            f"{hits} of {known} tenants who have their {_word(chain)} in common with others share their {_word(kind)} "
            f"as well, by {_values(count)}."
        )
        numbers = {"shared": hits, "of": known, "values": count, "usual": usual}
        numbers["true_of"] = beyond(hits, known, usual)
        found.append(Evidence(family, weight, sentence, numbers))
    return found


def _chain(kind: str, hits: int, known: int, family: str, count: int) -> Evidence:
    sentence = f"{hits} of {known} tenants hang together by their {_word(kind)}, {_values(count)}: so they were found."
    return Evidence(family, 0.0, sentence, {"shared": hits, "of": known, "values": count, "true_of": hits / known})


def _word(kind: str) -> str:
    return "address" if kind == PEER else kind


def _values(count: int) -> str:
    return f"{count} {'value' if count == 1 else 'values'}"
