"""The evidence of pools: members share payment, sign-up or addresses, as strangers do not. One of the `families`."""

from __future__ import annotations

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


def pools(case: Case) -> list[Evidence]:
    """Weigh that strangers share payment, sign-up or addresses: a pool of them; one place or one card is less."""
    if not case.has_text:
        return _chained(case)
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
        what = "address" if kind == PEER else kind
        sentence = (
            f"{hits} of {known} tenants have their {what} in common with another of them, by {len(pooled)} "
            f"{'value' if len(pooled) == 1 else 'values'}; {case.usual.linked[kind]:.0%} of all tenants share theirs."
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
    return ("one place" if kind == PEER else "one card") if one else kind


def _chained(case: Case) -> list[Evidence]:
    """Weigh that accounts which were found by what they share, and by nothing else, share more than that.

    By which of them most hang together, they all do: that is how they were found, and it says nothing. Offices, homes
    and the addresses of mobile networks make such chains of honest people.
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
    joined = shared.pop(chain)[0]
    found: list[Evidence] = []
    for kind, (theirs, have) in shared.items():
        hits, known = int((joined & theirs).sum()), int((joined & have).sum())
        usual = max(case.usual.linked[kind], NEIGHBOURS)
        weight = float(excess(hits, known, usual))
        if not weight:
            continue
        what, how = ("address" if each == PEER else each for each in (kind, chain))
        family, count = families[kind]
        sentence = (
            f"{hits} of {known} tenants who have their {how} in common with others share their {what} as well, by "
            f"{count} {'value' if count == 1 else 'values'}."
        )
        numbers = {"shared": hits, "of": known, "values": count, "usual": usual}
        numbers["true_of"] = beyond(hits, known, usual)
        found.append(Evidence(family, weight, sentence, numbers))
    return found
