"""Warns of what an author probably did not mean: what can never happen, what is over, what nobody reads.

Law: only a pack without errors gets here, and no warning keeps it from being used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from proxy.actions import REFUSING
from proxy.actions.base import ActionKind
from proxy.actions.challenge import Challenge
from proxy.actions.reject import Reject
from proxy.documents.document import Document, Steps
from proxy.documents.problem import Problem, Severity
from proxy.rules.conditions.condition import Cel, Condition, Operator, comparisons_of, fields_of
from proxy.rules.pack.pack import Campaign, Pack, Quota, Rule, Rung
from proxy.rules.pack.words import Approval, Mode, OnError, Scope, Subject
from proxy.rules.pack_file.schema_types import OF_LIMITS, VERIFY_URL
from proxy.rules.reasons import names_in
from proxy.store.distinct import DISTINCT_ERROR, SAMPLE

_DAY_S = 86_400
_SHADOW_DAYS = 30  # a week or two show whom something would meet
_SIGMAS = 3  # 997 of 1,000 counts are within so many standard errors

_PEOPLE = {approval: number for number, approval in enumerate(Approval)}  # how many must confirm, by a rung's approval

# Actions that take something out of an answer, or have another model write it, unseen by the caller.
_SILENT = ("drop", "withhold", "reroute")


def find_warnings(document: Document, pack: Pack, now: float | None) -> Iterator[Problem]:
    """Yield warnings about signals, rules, rungs and exemptions; `now` is Unix seconds, None: nothing has expired."""
    for path, message in (
        *_expired(pack, now),
        *_unread(pack),
        *_inexact(pack, document),
        *_rungs(document, pack),
        *_uncounted(pack),
        *_lightened(pack),
        *_blocks_on_error(pack),
        *_said(document, pack),
        *_without_campaigns(document, pack),
    ):
        yield document.problem(path, message, severity=Severity.WARNING)


def find_long_shadows(document: Document, pack: Pack, since: Mapping[str, float], now: float) -> Iterator[Problem]:
    """Yield warnings about entries long in shadow; `since` has their beginnings, by `rule:ID` and the like."""
    sections: Sequence[tuple[str, str, Sequence[Rule | Quota | Campaign]]] = (
        ("rule", "rules", pack.rules),
        ("quota", "quotas", pack.quotas),
        ("campaign", "campaigns", pack.campaigns),
    )
    for kind, section, entries in sections:
        for number, entry in enumerate(entries):
            days = (now - since.get(f"{kind}:{entry.id}", now)) / _DAY_S
            if entry.mode is Mode.SHADOW and days >= _SHADOW_DAYS:
                message = f"the {kind} {entry.id} has been in shadow for {days:.0f} days: enforce it, or take it out"
                own: Steps = (section, number, "mode")
                place = own if document.get(own) is not None else (section, number)
                yield document.problem(place, message, severity=Severity.WARNING)


_Found = Iterator[tuple[Steps, str]]


def _expired(pack: Pack, now: float | None) -> _Found:
    if now is None:
        return
    for number, rule in enumerate(pack.rules):
        if rule.expires is not None and rule.expires <= now:
            yield ("rules", number, "expires"), f"the rule {rule.id} has expired: it is off"
    for number, exemption in enumerate(pack.exemptions):
        if exemption.expires <= now:
            yield ("exemptions", number, "expires"), f"the exemption {exemption.id} has expired: it has no effect now"


def _unread(pack: Pack) -> _Found:
    conditions = [*(rule.when for rule in pack.rules), *(exemption.match for exemption in pack.exemptions)]
    read = {name for condition in conditions for name in fields_of(condition)}
    read |= {name for rule in pack.rules for name in names_in(rule.reason)}
    for signal in pack.signals:
        if f"signals.{signal.name}" not in read:
            yield ("signals", signal.name), f"nothing reads the signal {signal.name}"


def _inexact(pack: Pack, document: Document) -> _Found:
    distinct = {f"signals.{signal.name}" for signal in pack.signals if signal.distinct}
    for section, conditions in _sections(pack):
        for number, condition in enumerate(conditions):
            for comparison in comparisons_of(condition):
                value = comparison.operand
                if comparison.field not in distinct or not isinstance(value, int | float) or value <= SAMPLE:
                    continue
                off = value * DISTINCT_ERROR * _SIGMAS
                message = (
                    f"{comparison.field} is exact to {SAMPLE:,} and an estimate beyond, with a standard error of "
                    f"{DISTINCT_ERROR:.1%}: {value:,} is reached somewhere between {value - off:,.0f} and "
                    f"{value + off:,.0f}"
                )
                yield _place(document, section, number, comparison.field, comparison.operator), message


def _sections(pack: Pack) -> Sequence[tuple[str, Sequence[Condition]]]:
    rules, exemptions = [rule.when for rule in pack.rules], [exemption.match for exemption in pack.exemptions]
    return (("rules", rules), ("exemptions", exemptions))


def _place(document: Document, section: str, number: int, field: str, operator: Operator) -> Steps:
    """Return the first place where an entry compares a field."""
    entry: Steps = (section, number)
    compared = (path for path in document.marks if path[:2] == entry and path[-2:] == (field, operator.value))
    return next(compared, entry)


def _rungs(document: Document, pack: Pack) -> _Found:
    most = _most(pack)
    disclosed = False
    refusing: list[Rung] = []
    by_name = {document.get((*path, "rung")): path for path, _ in document.items(("ladder",))}
    for rung in pack.ladder:
        path = by_name[rung.name]
        if rung.score > most:
            yield (*path, "score"), f"the rung {rung.name} cannot be reached: all flags together score {most}"
        before = next((lower.name for lower in refusing if _PEOPLE[lower.approval] <= _PEOPLE[rung.approval]), None)
        if before is not None and rung.do:
            yield path, f"the actions of the rung {rung.name} never happen: {before} refuses whoever reaches it"
        if any(map(_refuses_all, rung.do)):
            refusing.append(rung)
        disclosed = disclosed or rung.disclose
        silent = [action.name for action in rung.do if action.name in _SILENT]
        if silent and not disclosed:
            yield path, f"{silent[0]} changes answers and nothing says so to the caller: add disclose: header"


def _refuses_all(action: ActionKind) -> bool:
    return isinstance(action, Reject) or (isinstance(action, Challenge) and not action.verified_by)


def _uncounted(pack: Pack) -> _Found:
    if any(rung.score <= _most(pack) for rung in pack.ladder):
        return
    seen: set[str] = set()
    for path, entry in _flagging(pack):
        if entry.flag.name not in seen:
            seen.add(entry.flag.name)
            yield (*path, "flag"), f"no rung counts the flag {entry.flag.name}: it changes nothing"


def _lightened(pack: Pack) -> _Found:
    """Yield rules by which a flagged caller can lower a flag's score; a campaign meets one entry at a time."""
    heaviest: dict[tuple[str, Subject], Rule | Campaign] = {}
    for _, entry in _flagging(pack):
        for subject in entry.flag.on:
            known = heaviest.setdefault((entry.flag.name, subject), entry)
            if entry.flag.score > known.flag.score:
                heaviest[entry.flag.name, subject] = entry
    for path, entry in _flagging(pack):
        flag = entry.flag
        heavier = max((heaviest[flag.name, subject] for subject in flag.on), key=lambda one: one.flag.score)
        if heavier.flag.score > flag.score and (isinstance(entry, Rule) or isinstance(heavier, Rule)):
            message = (
                f"{heavier.id} raises the flag {flag.name} with {heavier.flag.score}: once {entry.id} raises it "
                f"again, it counts only {flag.score}"
            )
            yield (*path, "flag", "score"), message


def _flagging(pack: Pack) -> Iterator[tuple[Steps, Rule | Campaign]]:
    """Yield the entries that raise flags, with their places."""
    placed: list[tuple[Steps, Rule | Campaign]] = [
        *((("rules", number), rule) for number, rule in enumerate(pack.rules)),
        *((("campaigns", number), campaign) for number, campaign in enumerate(pack.campaigns)),
    ]
    return ((path, entry) for path, entry in placed if entry.mode is not Mode.OFF)


def _most(pack: Pack) -> int:
    """Return the highest total there can be: each flag name counts once, with its highest score."""
    scores: dict[str, int] = {}
    for _, entry in _flagging(pack):
        scores[entry.flag.name] = max(entry.flag.score, scores.get(entry.flag.name, 0))
    return sum(scores.values())


def _blocks_on_error(pack: Pack) -> _Found:
    blocks = [rung for rung in pack.ladder if any(isinstance(action, REFUSING) for action in rung.do)]
    for number, rule in enumerate(pack.rules):
        if rule.mode is Mode.ENFORCE and rule.on_error is OnError.TREAT_AS_MATCH and isinstance(rule.when, Cel):
            for rung in blocks[:1]:
                if rule.flag.score >= rung.score:
                    message = (
                        f"an expression that fails counts as a match and so reaches the rung {rung.name}, which refuses"
                    )
                    yield ("rules", number, "when_cel"), message


def _said(document: Document, pack: Pack) -> _Found:
    """Yield messages of rungs that do not tell a challenged caller where to go, or name a variable that stays empty."""
    by_name = {document.get((*path, "rung")): path for path, _ in document.items(("ladder",))}
    for rung in pack.ladder:
        if rung.client is None:
            continue
        place: Steps = (*by_name[rung.name], "client", "message")
        said, challenges = rung.client.message, [action for action in rung.do if isinstance(action, Challenge)]
        for action in challenges:
            if action.url not in said and "{verify_url}" not in said:
                yield place, "a challenged caller is not told where to go: the message needs {verify_url}"
        for name in dict.fromkeys(names_in(said)):
            if name in OF_LIMITS:
                yield place, f"{{{name}}} is empty here: it is about a limit, and a rung has none"
            elif name == VERIFY_URL and not challenges:
                yield place, f"{{{name}}} is empty here: this rung has no challenge"


def _without_campaigns(document: Document, pack: Pack) -> _Found:
    if any(campaign.mode is not Mode.OFF for campaign in pack.campaigns):
        return
    letters: Steps = ("fingerprints", "max_letters")
    if document.get(letters) is not None:
        yield letters, "no campaign is on, so nothing is fingerprinted: this changes nothing"
    counted: list[tuple[Steps, Scope]] = [
        *((("quotas", number), quota.per) for number, quota in enumerate(pack.quotas) if quota.mode is not Mode.OFF),
        *((("signals", signal.name), signal.per) for signal in pack.signals),
    ]
    for path, per in counted:
        if per in (Scope.TEMPLATE, Scope.CLUSTER):
            yield (*path, "per"), f"no campaign is on, so there is no {per}: this counts nothing"
    for number, rule in enumerate(pack.rules):
        if rule.mode is not Mode.OFF and {*rule.flag.on} <= {Subject.TEMPLATE, Subject.CLUSTER}:
            named = " or ".join(rule.flag.on)
            yield (
                ("rules", number, "flag", "on"),
                f"no campaign is on, so there is no {named}: this flag is never raised",
            )
