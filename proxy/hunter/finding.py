"""What the hunter reports: one campaign, with evidence that a reviewer can check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

CLIENT: Final = "client"
OPENED: Final = "opened"


class Evidence(NamedTuple):
    """One family of evidence: its weight in nats of log-likelihood ratio, a sentence, and the numbers in it."""

    family: str
    weight: float
    sentence: str
    numbers: Mapping[str, float]


class Member(NamedTuple):
    """One account of a campaign: since when, with how much, and what ties it to the others, as sentences.

    `exchanges` counts those of the campaign, `of` all of the account's in the window. `links` is what it shares with
    another member, as pairs of a kind and a keyed name: attributes and addresses by the names of the hunter's links,
    its client (`CLIENT`), and the day on which it was opened (`OPENED`, the one value in the clear).
    """

    account: str
    tenant: str
    since: float
    exchanges: int
    of: int
    output_tokens: int
    weight: float
    ties: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()


class Template(NamedTuple):
    """The prints that a campaign's prompts share, most common first, and how many of a prompt's must be among them."""

    id: str
    prints: tuple[int, ...]
    least: int


class Exposure(NamedTuple):
    """What a campaign was given so far: how much of a training set it already has."""

    exchanges: int
    delivered: int
    input_tokens: int
    output_tokens: int
    prompts: int  # distinct ones answered
    reasoning_tokens: int = 0  # of the output, as far as upstreams say and it was not withheld; 0 in older findings


class Reach(NamedTuple):
    """Whom a pack's `contain:` may reach beyond the members: when the campaign's accounts were opened (Unix seconds, 0
    if nobody knows), when it began, and the attributes (by name, keyed values) that members share. `spared`
    are accounts that were seen with the campaign's text often enough to tell that they do not belong.
    """

    opened_from: float
    opened_to: float
    began: float
    shared: Mapping[str, frozenset[str]]
    spared: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Finding:
    """A campaign as it stands; `id` stays while it grows, and `rule` is the entry of `campaigns:` that it meets.

    Times are Unix seconds. `sought` names the capability, in words. `hours` counts all exchanges of its members by hour
    of the day. Of a campaign that goes on for longer than the window, `first_at`, `exposure` and `hours` tell of that.
    """

    id: str
    rule: str
    found_at: float
    updated_at: float
    first_at: float
    last_at: float
    confidence: float
    sought: str
    members: Mapping[str, Member]
    templates: tuple[Template, ...]
    evidence: tuple[Evidence, ...]
    exposure: Exposure
    reach: Reach
    hours: tuple[int, ...]


def together(one: Finding, other: Finding) -> Finding:
    """Return the first of two findings with what the other told, when both turn out to be one campaign.

    It names all members and has both texts, so that nobody is freed until it is told anew; until then its sums count
    accounts that are in both twice.
    """
    surer = max(one, other, key=lambda finding: finding.confidence)
    mine, theirs = one.reach, other.reach
    return replace(
        one,
        updated_at=max(one.updated_at, other.updated_at),
        first_at=min(one.first_at, other.first_at),
        last_at=max(one.last_at, other.last_at),
        confidence=surer.confidence,
        sought=surer.sought,
        members={**other.members, **one.members},
        templates=(*one.templates, *other.templates),
        evidence=surer.evidence,
        exposure=Exposure(*map(sum, zip(one.exposure, other.exposure, strict=True))),
        reach=Reach(
            opened_from=min(filter(None, (mine.opened_from, theirs.opened_from)), default=0.0),
            opened_to=max(mine.opened_to, theirs.opened_to),
            began=min(mine.began, theirs.began),
            shared={
                kind: mine.shared.get(kind, frozenset()) | theirs.shared.get(kind, frozenset())
                for kind in mine.shared.keys() | theirs.shared.keys()
            },
            spared=(mine.spared | theirs.spared) - one.members.keys() - other.members.keys(),
        ),
        hours=tuple(map(sum, zip(one.hours, other.hours, strict=True))),
    )
