"""Puts the page of a campaign together.

Law: its size is bounded however large the campaign is.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from proxy.campaign_page import charts
from proxy.campaign_page.drawing import DOTS_MOST, accounts_of_dot, draw
from proxy.campaign_page.facts import Facts, percent
from proxy.campaign_page.groups import Groups, group, what
from proxy.campaign_page.words import family, listed, summary
from proxy.hunter.finding import Member
from proxy.hunter.finding_rows import Said
from proxy.pages.markup import Html, joined, moment, named, number, short, tag
from proxy.pages.whole import figures, section, table, whole

ROWS_MOST: Final = 200
_WHY_CHARS = 500


def page(facts: Facts, made_at: float) -> str:
    """Return the page of a campaign; `made_at` is Unix seconds."""
    main = (
        *_top(facts),
        section("When", *_when(facts)),
        section("Why these accounts look like one operation", *_evidence(facts)),
        section("Which accounts are tied to which", *_graph(facts)),
        section("Members", *_members(facts)),
        section("Templates", *_templates(facts)),
        section("What to do next", *_next(facts)),
    )
    footer = f"Made by Stillgate, {moment(made_at)} UTC. It names customers: hand it on with care."
    return whole(f"Campaign {short(facts.id)}", main, footer)


def _top(facts: Facts) -> Iterable[Html]:
    first, second = summary(facts)
    yield tag(
        "header",
        tag("h1", "Campaign ", tag("code", short(facts.id)), " ", tag("span", facts.state, class_="state")),
        tag(
            "p",
            f"found {moment(facts.found_at)}, last changed {moment(facts.updated_at)} UTC, by the rule ",
            tag("code", short(facts.rule)),
            class_="quiet",
        ),
    )
    yield tag("p", first, " ", second, class_="lead")
    exposure = facts.exposure
    yield figures(
        (
            ("confidence", percent(facts.confidence)),
            ("accounts", f"{facts.accounts:,}"),
            ("customers", f"{facts.tenants:,}"),
            ("exchanges", f"{exposure.exchanges:,}"),
            ("answers delivered", f"{exposure.delivered:,}"),
            ("output tokens", f"{exposure.output_tokens:,}"),
            ("of these reasoning", f"{exposure.reasoning_tokens:,}"),
            ("distinct prompts answered", f"{exposure.prompts:,}"),
        )
    )
    yield tag("p", tag("b", "What they are after: "), f"{facts.sought}.")
    for said in facts.decisions:
        words = (f"{said.said} by ", named(said.by), f" on {moment(said.at)} UTC: ", named(said.why, _WHY_CHARS))
        yield tag("p", *words, class_="said")


def _when(facts: Facts) -> Iterable[Html]:
    yield tag("h3", "All exchanges of its members by hour of the day (UTC)")
    yield charts.hours(facts.hours)
    yield tag("h3", "Members by the time of their first exchange (UTC)")
    yield charts.joining([member.since for member in facts.members], facts.last_at)


def _evidence(facts: Facts) -> Iterable[Html]:
    yield tag(
        "p",
        "Each weight says how much better one operation explains what was seen than strangers would who use the model "
        "as people here do: 1 makes it 2.7 times as likely, 2.3 ten times. A negative weight speaks against it. The "
        "confidence combines them. It is not your rate of errors: in deployments made for measuring, nearly all that "
        "was at 95 % or more was a campaign, and half of what was at 60 to 90 %.",
    )
    most = max((abs(entry.weight) for entry in facts.evidence), default=1.0)
    rows = (
        (
            family(entry.family),
            tag("span", charts.bar(entry.weight, most), " ", f"{entry.weight:+.1f}", class_="weight"),
            entry.sentence,
        )
        for entry in facts.evidence
    )
    yield table(("what it is about", "weight", "what was seen"), rows, "evidence")


def _graph(facts: Facts) -> Iterable[Html]:
    groups = group(facts.members)
    step = accounts_of_dot(len(facts.members))
    dots = (
        "A dot is one account"
        if step == 1
        else f"A dot stands for {step} accounts, since there are more than {DOTS_MOST}"
    )
    yield tag(
        "p",
        f"{dots}; a numbered disc holds those that share one value, named below; a line joins discs whose accounts "
        "share something else. Names are keyed: the same thing has the same name, which does not tell what it is.",
    )
    yield from _common(groups)
    yield draw(groups, f"{facts.accounts} accounts in {len(groups.groups) + groups.more} groups by what they share")
    yield tag("p", *_left_over(groups), class_="quiet")
    rows = (
        (what(share.kind), f"{share.accounts:,}", f"{share.values:,}", f"{share.largest:,}") for share in groups.sharing
    )
    yield tag("h3", "What is shared")
    yield table(("what", "accounts that share theirs", "values", "most accounts on one value"), rows)
    if groups.groups:
        yield tag("h3", "The numbered groups")
        listed = (
            (
                str(place),
                what(entry.link[0]),
                tag("code", short(entry.link[1])),
                f"{len(entry.accounts):,}",
                _some(entry.accounts),
            )
            for place, entry in enumerate(groups.groups, 1)
            if entry.link is not None
        )
        yield table(("no.", "shared", "keyed name", "accounts", "such as"), listed)


def _common(groups: Groups) -> Iterable[Html]:
    if groups.common:
        things = listed(sorted({what(kind) for kind, _ in groups.common}))
        yield tag("p", f"Nearly all of them share one {things}: that tells no group from another and is not drawn.")


def _left_over(groups: Groups) -> Iterable[str]:
    if groups.more:
        yield f"{groups.more:,} smaller groups, {len(groups.rest.accounts):,} accounts, are drawn as one disc. "
    if groups.loose.accounts:
        yield f"{len(groups.loose.accounts):,} accounts share nothing that tells groups apart."


def _some(accounts: Sequence[str]) -> Html:
    shown = [named(account, 40) for account in accounts[:3]]
    return joined([*(part for name in shown for part in (name, ", ")), "…"] if len(accounts) > 3 else _between(shown))


def _between(names: Sequence[Html]) -> list[str]:
    return [part for name in names for part in (", ", name)][1:]


def _members(facts: Facts) -> Iterable[Html]:
    shown = facts.members[:ROWS_MOST]
    rows = (_row(member) for member in shown)
    names = (
        "account",
        "customer",
        "first seen (UTC)",
        "exchanges",
        "of all its",
        "output tokens",
        "fit",
        "ties to the others",
    )
    yield table(names, rows, "members")
    if len(facts.members) > len(shown):
        yield tag(
            "p",
            f"These are the {len(shown)} surest; "
            f"{len(facts.members) - len(shown):,} more are in what `campaigns export` writes.",
        )


def _row(member: Member) -> tuple[str, ...]:
    return (
        named(member.account),
        named(member.tenant),
        moment(member.since),
        f"{member.exchanges:,}",
        f"{member.of:,}",
        f"{member.output_tokens:,}",
        number(member.weight),
        "; ".join(short(tie, 200) for tie in member.ties),
    )


def _templates(facts: Facts) -> Iterable[Html]:
    if not facts.templates:
        yield tag("p", "None: their prompts have no text in common; other things tie the accounts together.")
        return
    yield tag("p", "The text that their prompts share, known by its prints; the text itself is kept nowhere.")
    rows = ((tag("code", short(entry.id)), f"{entry.prints:,}", f"{entry.least:,}") for entry in facts.templates)
    yield table(("template", "prints", "prints that make a prompt match"), rows)


def _next(facts: Facts) -> Iterable[Html]:
    if facts.state == Said.DISMISSED:  # nobody can confirm it any more
        yield tag("p", "Nothing: its flags were lifted, and what its members sent and share is learnt as honest.")
        return
    campaign = shlex.quote(facts.id)
    for words, command in (
        ("These accounts are honest: lift every flag at once, and learn it.", f'dismiss {campaign} --why "…"'),
        ("They are one operation: confirm the flags, for rungs that ask a person.", f'confirm {campaign} --why "…"'),
        ("Hand all members to those who look after accounts.", f"export {campaign} --to members.jsonl"),
    ):
        yield tag("p", words)
        yield tag("pre", tag("code", f"stillgate campaigns {command}"))
