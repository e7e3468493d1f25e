"""Puts a finding together: members with their ties, template, exposure, and whom it may reach."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.background import answered, mean_log_output, tenants_of
from proxy.hunter.case import Case
from proxy.hunter.chance import Floats
from proxy.hunter.evidence import confidence, sought
from proxy.hunter.finding import CLIENT, OPENED, Evidence, Exposure, Finding, Member, Reach, Template
from proxy.hunter.ids import Keys
from proxy.hunter.links import PEER, PREFIX, Links, name_of
from proxy.hunter.membership import Tie
from proxy.hunter.suspects import Suspect
from proxy.hunter.terms import Terms
from proxy.hunter.texts import Texts

# Those of some thirty texts, such as one prompt in thirty languages. More of them tell no text better from others.
PRINTS_MOST = 2_048
# A request is taken for the campaign's with this part of what is typical for one of its exchanges; sentences that
# many prompts share are fewer.
_MATCH_PART = 0.35
_MATCH_LEAST, _MATCH_MOST = 4, 32
# A finding whose members stay the same is told again when it has grown by this part, or after this time, or after this
# part of what its consequences last.
_GROWN = 0.25
_TOLD_EVERY_S = 6 * 3600.0
_LASTED = 0.5
_HOURS = 24
_DAY_S = 86_400.0
_WINDOW_MOST_S = 31 * _DAY_S  # that a pack may have: what seems to have begun longer before was told by a wrong clock
# Of what members share, that which most of them have: gateways hold 200,000 of all campaigns, and let whole ones go
# where it is more.
_SHARED_MOST = 20_000
_TELLING = 0.5  # nats from which on a tie is worth a sentence


Places = NDArray[np.intp]
_Value = TypeVar("_Value")
_Told = TypeVar("_Told")


class LookedAt(NamedTuple):
    """What was found of each account: the members' ties, and who is spared."""

    ties: Sequence[Tie]
    spared: frozenset[str]


def tells_more(case: Case, terms: Terms, spared: frozenset[str], before: Finding | None, now: float) -> bool:
    """Tell whether a case is worth a new finding after what was told of it before; to put one together takes long."""
    if (
        before is None
        or before.rule != terms.rule
        or before.reach.spared != spared
        or len(before.members) != len(case.members)
    ):
        return True
    if before.members.keys() != set(case.accounts.names(case.members)):
        return True
    if case.ended <= before.last_at:
        return False
    if overdue(before, [terms], now):
        return True
    return round(float(_shares(case).sum())) >= (1 + _GROWN) * before.exposure.exchanges


def overdue(told: Finding, entries: Sequence[Terms], now: float) -> bool:
    """Tell whether a finding was told so long ago that it has to be told again, if it goes on."""
    lasts_s = min((terms.lasts_s for terms in entries if terms.rule == told.rule), default=math.inf)
    # Not only later: it may have been told by a clock that was ahead.
    return abs(now - told.updated_at) >= min(_TOLD_EVERY_S, _LASTED * lasts_s)


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
        last_at=case.ended,
        confidence=confidence(evidence),
        sought=sought(evidence),
        members=_members(case, looked_at.ties, links, group.finding.members if group.finding else {}),
        templates=_templates(group, used),
        evidence=tuple(sorted(evidence, key=lambda entry: -entry.weight)),
        exposure=_exposure(case),
        reach=_reach(case, links, looked_at.spared, group.finding),
        hours=tuple(np.bincount((rows["at"] // 3600 % _HOURS).astype(np.int64), minlength=_HOURS).tolist()),
    )


def _members(case: Case, ties: Sequence[Tie], links: Links, before: Mapping[str, Member]) -> dict[str, Member]:
    """Return the members by name; who has sent nothing more since is told of as `before`."""
    names = case.accounts.names(case.members)
    of = case.column("exchanges")
    sent = np.clip(np.rint(case.uses), 1, of).astype(np.int64) if case.has_text else of
    told = [before.get(name) for name in names]
    known = np.array([(0, 0) if member is None else (member.exchanges, member.of) for member in told])
    changed = np.flatnonzero((known[:, 0] != sent) | (known[:, 1] != of))
    for place, member in zip(changed.tolist(), _described(changed, sent, case, ties, links), strict=True):
        told[place] = member
    return {name: member for name, member in zip(names, told, strict=True) if member is not None}


def _described(places: Places, sent: np.ndarray, case: Case, ties: Sequence[Tie], links: Links) -> Iterator[Member]:
    """Yield the members at these places, who `sent` the text so often."""
    words: list[list[str]] = [[] for _ in places]
    for tie in ties:
        telling = np.flatnonzero(tie.weights[places] >= _TELLING)
        for number, said in zip(telling.tolist(), _words(tie.trait, case, sent, places[telling]), strict=True):
            if said:
                words[number].append(said)
    weights = np.array([tie.weights[places] for tie in ties]).reshape(len(ties), len(places)).sum(axis=0)
    accounts, rows, members = case.accounts, case.accounts.rows, case.members[places]
    first, exchanges, output = (rows[name][members].tolist() for name in ("first", "exchanges", "output"))
    mine = sent[places].tolist()
    parts = [int(tokens * made / of) for tokens, made, of in zip(output, mine, exchanges, strict=True)]
    ties_and_links = map(tuple, words), map(tuple, _linked(places, case, links))
    names = accounts.names(members), accounts.tenants(members)
    yield from map(
        Member._make, zip(*names, first, mine, exchanges, parts, weights.tolist(), *ties_and_links, strict=True)
    )


def _linked(places: Places, case: Case, links: Links) -> list[list[tuple[str, str]]]:
    """Return what each member has that another of them has too, so that a reviewer can see who hangs together how."""
    accounts, members = case.accounts, case.members
    found: list[list[tuple[str, str]]] = [[] for _ in places]
    held: list[tuple[np.ndarray, Callable[[int], tuple[str, str]]]] = [
        (tokens[members], lambda token, kind=kind: (kind, links.value(token)))  # type: ignore[misc]
        for kind, tokens in case.usual.tokens.items()
    ]
    held.append((case.column("agent"), lambda agent: (CLIENT, accounts.agents[agent])))
    held.append(((case.column("opened") // _DAY_S).astype(np.int64), lambda day: (OPENED, _day_numbered(day))))
    for values, named in held:
        several = _held_by_several(values, places)
        for number, link in zip(several, _said(values[places[several]].tolist(), named), strict=True):
            found[number].append(link)
    return found


def _held_by_several(values: np.ndarray, places: Places) -> list[int]:
    """Tell at which of these places values stand that there are more than once; 0 is none."""
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    return np.flatnonzero(((values != 0) & (times[place] > 1))[places]).tolist()


def _words(trait: str, case: Case, sent: np.ndarray, places: Places) -> list[str]:
    """Return what says of each member at these places how a trait ties it to the others; nothing to say is empty."""
    of, made = case.column("exchanges")[places].tolist(), sent[places].tolist()
    match trait:
        case "age":
            days = (case.column("opened")[places] // _DAY_S).astype(np.int64).tolist()
            return _said(days, lambda day: f"opened {_day_numbered(day)}, when the others were")
        case "client":
            return ["uses the client that the others use"] * len(places)
        case "output":
            members = case.members[places]
            whole, cut = (mean_log_output(case.accounts, members, cut=cut) for cut in (False, True))
            tokens = np.rint(np.expm1(np.where(answered(case.accounts, members), whole, cut)))
            return _said(tokens.tolist(), lambda many: f"gets answers of about {many:.0f} tokens, as the others do")
        case "volume":
            return _said(made, lambda many: f"made {many} such exchanges, about as many as the others")
        case "text":
            pairs = list(zip(made, of, strict=True))
            return _said(pairs, lambda pair: f"sent the campaign's text in {pair[0]} of {pair[1]} exchanges")
        case _:
            what = "address" if trait == PEER else trait
            held = case.usual.tokens[trait][case.members]
            others = (np.bincount(held)[held] - 1)[places].tolist()
            return _said(others, lambda many: f"shares its {what} with {many} of the others" if many > 0 else "")


def _said(values: Sequence[_Value], say: Callable[[_Value], _Told]) -> list[_Told]:
    """Return what is said of each value, put together once for each that there is."""
    known = {value: say(value) for value in set(values)}
    return [known[value] for value in values]


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
        prompts=_prompts(rows["question"][delivered], share[delivered]),
        reasoning_tokens=round(float((share * rows["reasoning"])[delivered].sum())),
    )


def _prompts(questions: Keys, shares: Floats) -> int:
    """Return how many distinct prompts of the campaign's there are; each counts as its surest exchange does."""
    known, place = np.unique(questions, return_inverse=True)
    surest = np.zeros(len(known))
    np.maximum.at(surest, place, shares)
    return round(float(surest.sum()))


def _shares(case: Case) -> Floats:
    """Return of each exchange how much of its account's have the text."""
    parts = np.zeros(len(case.accounts))
    with_text = case.has_text
    parts[case.members] = np.clip(case.uses / case.column("exchanges"), 0, 1) if with_text else 1.0
    shares: Floats = parts[case.rows["account"]]
    return shares


def _theirs(case: Case, links: Links, spared: frozenset[str]) -> list[int]:
    """Return the tokens that members share, what most of them have first, of so many at most.

    What more strangers have than members do, such as a network of mobile phones, is nobody's pool: by it new customers
    would be reached. Who sends the text and is not spared may be a member that is not known yet, and is no stranger.
    """
    tenants, members = case.accounts.rows["tenant"], np.zeros(len(case.accounts), np.bool_)
    members[case.members] = True
    others = ~members
    others[case.users] = False
    others |= case.accounts.among(spared)
    tokens, owners = links.held_by(members)
    values, holders = tenants_of(tokens, tenants[owners])
    values, holders = values[holders > 1], holders[holders > 1]
    tokens, owners = links.holding(values)
    strange, strangers = tenants_of(tokens[others[owners]], tenants[owners[others[owners]]])
    of_strangers = np.zeros(len(values), np.int64)
    of_strangers[np.searchsorted(values, strange)] = strangers
    values, holders = values[of_strangers <= holders], holders[of_strangers <= holders]
    most: list[int] = values[np.argsort(-holders, kind="stable")][:_SHARED_MOST].tolist()
    return most


def _reach(case: Case, links: Links, spared: frozenset[str], before: Finding | None) -> Reach:
    opened = case.column("opened")
    opened = opened[opened > 0]
    shared: dict[str, set[str]] = {PREFIX: set()}
    for kind, value in map(links.named, _theirs(case, links, spared)):
        shared.setdefault(name_of(kind), set()).add(value)
    low, high = (float(opened.min()), float(opened.max())) if len(opened) else (0.0, 0.0)
    began = case.began
    if before is not None:  # its first exchanges may be older than the window by now
        began = max(min(began, before.reach.began), before.found_at - _WINDOW_MOST_S)
    return Reach(low, high, began, {kind: frozenset(names) for kind, names in shared.items()}, spared)


@lru_cache(1024)
def _day_numbered(number: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(number * _DAY_S))
