"""Puts a finding together: members with their ties, template, exposure, and whom it may reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from proxy.hunter.background import tenants_of
from proxy.hunter.case import Case
from proxy.hunter.chance import Floats
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
# A finding whose members stay the same is told again when it has grown by this part, or after this time.
_GROWN = 0.25
_TOLD_EVERY_S = 6 * 3600.0
_HOURS = 24
_DAY_S = 86_400.0
_TELLING = 0.5  # nats from which on a tie is worth a sentence


class LookedAt(NamedTuple):
    """What was found of each account: the members' ties, and who is spared."""

    ties: Sequence[Tie]
    spared: frozenset[str]


def tells_more(case: Case, spared: frozenset[str], before: Finding | None, now: float) -> bool:
    """Tell whether a case is worth a new finding after what was told of it before; to put one together takes long."""
    if before is None or before.reach.spared != spared or len(before.members) != len(case.members):
        return True
    if before.members.keys() != set(map(case.accounts.name, case.members.tolist())):
        return True
    if float(case.rows["at"].max()) <= before.last_at:
        return False
    exchanges = round(float(_shares(case).sum()))
    return exchanges >= (1 + _GROWN) * before.exposure.exchanges or now - before.updated_at >= _TOLD_EVERY_S


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
    accounts = case.accounts
    of = case.column("exchanges").tolist()
    uses = case.uses.tolist() if case.has_text else of
    sent = [min(most, max(1, round(used))) for most, used in zip(of, uses, strict=True)]
    told: list[list[str]] = [[] for _ in of]
    for tie in ties:
        say = _words(tie.trait, case, sent)
        for place in np.flatnonzero(tie.weights >= _TELLING).tolist():
            if words := say(place):
                told[place].append(words)
    columns = (case.members.tolist(), case.column("first").tolist(), sent, of, case.column("output").tolist())
    weights = np.array([tie.weights for tie in ties]).reshape(len(ties), len(of)).sum(axis=0).tolist()
    found: dict[str, Member] = {}
    for number, first, exchanges, most, output, weight, words, linked in zip(
        *columns, weights, told, _linked(case, links), strict=True
    ):
        found[accounts.name(number)] = Member(
            account=accounts.name(number),
            tenant=accounts.tenant(number),
            since=first,
            exchanges=exchanges,
            of=most,
            output_tokens=int(output * exchanges / most),
            weight=weight,
            ties=tuple(words),
            links=tuple(linked),
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


def _words(trait: str, case: Case, sent: Sequence[int]) -> Callable[[int], str]:
    """Return what says of a member, by its place, how a trait ties it to the others; nothing to say is empty."""
    of = case.column("exchanges").tolist()
    match trait:
        case "age":
            opened = case.column("opened").tolist()
            days = {int(at // _DAY_S): _day(at) for at in opened}
            return lambda place: f"opened {days[int(opened[place] // _DAY_S)]}, when the others were"
        case "client":
            return lambda _: "uses the client that the others use"
        case "output":
            tokens = np.expm1(case.column("log_output") / case.column("exchanges")).tolist()
            return lambda place: f"gets answers of about {tokens[place]:.0f} tokens, as the others do"
        case "volume":
            return lambda place: f"made {of[place]} exchanges, about as many as the others"
        case "text":
            return lambda place: f"sent the campaign's text in {sent[place]} of {of[place]} exchanges"
        case _:
            what = "address" if trait == PEER else trait
            held = case.usual.tokens[trait][case.members]
            others = (np.bincount(held)[held] - 1).tolist()
            return lambda place: (
                f"has its {what} in common with {others[place]} of the others" if others[place] > 0 else ""
            )


def _templates(group: Suspect, used: Texts) -> tuple[Template, ...]:
    least = int(np.clip(used.typical * _MATCH_PART, _MATCH_LEAST, _MATCH_MOST))
    if not used.joins or len(used.keys) < least:
        return ()
    return (Template(f"{group.id}-t", tuple(used.keys[:PRINTS_MOST].tolist()), least),)


def _exposure(case: Case) -> Exposure:
    rows, share = case.rows, _shares(case)
    delivered = rows["delivered"]
    return Exposure(
        exchanges=round(float(share.sum())),
        delivered=round(float(share[delivered].sum())),
        input_tokens=round(float((share * rows["input"]).sum())),
        output_tokens=round(float((share * rows["output"])[delivered].sum())),
        prompts=len(np.unique(rows["question"][delivered])),
    )


def _shares(case: Case) -> Floats:
    """Return of each exchange how much of its account's have the text."""
    parts = np.zeros(len(case.accounts))
    with_text = case.has_text
    parts[case.members] = np.clip(case.uses / case.column("exchanges"), 0, 1) if with_text else 1.0
    shares: Floats = parts[case.rows["account"]]
    return shares


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
