"""Puts a finding together: members with their ties, template, exposure, and whom it may reach."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from proxy.hunter.background import tenants_of
from proxy.hunter.case import Case
from proxy.hunter.evidence import confidence, sought
from proxy.hunter.finding import CLIENT, OPENED, Evidence, Exposure, Finding, Member, Reach, Template
from proxy.hunter.links import PEER, PREFIX, Links
from proxy.hunter.membership import Tie
from proxy.hunter.suspects import Suspect
from proxy.hunter.texts import Texts

# More of them tell a campaign's prompts no better from others.
PRINTS_MOST = 512
# A request is taken for the campaign's with this part of what is typical for one of its exchanges; sentences that
# many prompts share are fewer.
_MATCH_PART = 0.35
_MATCH_LEAST, _MATCH_MOST = 4, 32
_HOURS = 24
_DAY_S = 86_400.0
_TELLING = 0.5  # nats from which on a tie is worth a sentence


class LookedAt(NamedTuple):
    """What was found of each account: the members' ties, and who is spared."""

    ties: Sequence[Tie]
    spared: frozenset[str]


def report(
    group: Suspect,
    used: Texts,
    case: Case,
    evidence: Sequence[Evidence],
    looked_at: LookedAt,
    rule: str,
    now: float,
    links: Links,
) -> Finding:
    """Return the finding on a group as it stands."""
    rows = case.rows
    return Finding(
        id=group.id,
        rule=rule,
        found_at=group.finding.found_at if group.finding else now,
        updated_at=now,
        first_at=case.began,
        last_at=float(rows["at"].max()),
        confidence=confidence(evidence),
        sought=sought(evidence),
        members=_members(case, looked_at.ties, links),
        templates=_templates(group, used),
        evidence=tuple(sorted(evidence, key=lambda entry: -entry.weight)),
        exposure=_exposure(case),
        reach=_reach(case, links, looked_at.spared),
        hours=tuple(np.bincount((rows["at"] // 3600 % _HOURS).astype(np.int64), minlength=_HOURS).tolist()),
    )


def _members(case: Case, ties: Sequence[Tie], links: Links) -> Mapping[str, Member]:
    rows, accounts = case.accounts.rows, case.accounts
    weights = np.array([tie.weights for tie in ties]).reshape(len(ties), len(case.members))
    holders = {kind: np.bincount(tokens[case.members]) for kind, tokens in case.usual.tokens.items()}
    linked = _linked(case, links)
    found: dict[str, Member] = {}
    for place, (number, uses) in enumerate(zip(case.members.tolist(), case.uses.tolist(), strict=True)):
        of = int(rows["exchanges"][number])
        exchanges = min(of, max(1, round(uses))) if case.has_text else of
        told = [
            words
            for tie, weight in zip(ties, weights[:, place].tolist(), strict=True)
            if weight >= _TELLING
            for words in _words(tie.trait, number, exchanges, case, holders)
        ]
        found[accounts.name(number)] = Member(
            account=accounts.name(number),
            tenant=accounts.tenant(number),
            since=float(rows["first"][number]),
            exchanges=exchanges,
            of=of,
            output_tokens=int(rows["output"][number] * exchanges / of),
            weight=float(weights[:, place].sum()),
            ties=tuple(told),
            links=tuple(linked[place]),
        )
    return found


def _linked(case: Case, links: Links) -> list[list[tuple[str, str]]]:
    """Return what each member has that another of them has too, so that a reviewer can see who hangs together how."""
    accounts, members = case.accounts, case.members
    found: list[list[tuple[str, str]]] = [[] for _ in members]
    for kind, tokens in case.usual.tokens.items():
        for place in _held_by_several(tokens[members]):
            found[place].append((kind, links.value(int(tokens[members[place]]))))
    for place in _held_by_several(case.column("agent")):
        found[place].append((CLIENT, accounts.agent(int(members[place]))))
    opened = case.column("opened")
    for place in _held_by_several((opened // _DAY_S).astype(np.int64)):
        found[place].append((OPENED, _day(float(opened[place]))))
    return found


def _held_by_several(values: np.ndarray) -> list[int]:
    """Return the places of values that stand there more than once; 0 is none."""
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    return np.flatnonzero((values != 0) & (times[place] > 1)).tolist()


def _words(trait: str, number: int, exchanges: int, case: Case, holders: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Say what ties one account to the others by a trait."""
    rows = case.accounts.rows
    of = int(rows["exchanges"][number])
    match trait:
        case "age":
            yield f"opened {_day(rows['opened'][number])}, when the others were"
        case "client":
            yield "uses the client that the others use"
        case "output":
            yield f"gets answers of about {math.expm1(rows['log_output'][number] / of):.0f} tokens, as the others do"
        case "volume":
            yield f"made {of} exchanges, about as many as the others"
        case "text":
            yield f"sent the campaign's text in {exchanges} of {of} exchanges"
        case _:
            others = int(holders[trait][case.usual.tokens[trait][number]]) - 1
            if others > 0:
                yield f"has its {'address' if trait == PEER else trait} in common with {others} of the others"


def _templates(group: Suspect, used: Texts) -> tuple[Template, ...]:
    least = int(np.clip(used.typical * _MATCH_PART, _MATCH_LEAST, _MATCH_MOST))
    if not used.joins or len(used.keys) < least:
        return ()
    return (Template(f"{group.id}-t", tuple(used.keys[:PRINTS_MOST].tolist()), least),)


def _exposure(case: Case) -> Exposure:
    rows = case.rows
    part = np.clip(case.uses / case.column("exchanges"), 0, 1) if case.has_text else np.ones(len(case.members))
    parts = np.zeros(len(case.accounts))
    parts[case.members] = part
    share = parts[rows["account"]]
    delivered = rows["delivered"]
    return Exposure(
        exchanges=round(float(share.sum())),
        delivered=round(float(share[delivered].sum())),
        input_tokens=round(float((share * rows["input"]).sum())),
        output_tokens=round(float((share * rows["output"])[delivered].sum())),
        prompts=len(np.unique(rows["question"][delivered])),
    )


def _reach(case: Case, links: Links, spared: frozenset[str]) -> Reach:
    opened = case.column("opened")
    opened = opened[opened > 0]
    shared: dict[str, frozenset[str]] = {}
    tenants = case.column("tenant")
    for kind, tokens in case.usual.tokens.items():
        values, holders = tenants_of(tokens[case.members], tenants)
        if kind == PREFIX or (holders > 1).any():
            shared[kind] = frozenset(links.value(int(value)) for value in values[holders > 1].tolist())
    low, high = (float(opened.min()), float(opened.max())) if len(opened) else (0.0, 0.0)
    return Reach(low, high, case.began, shared, spared)


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
