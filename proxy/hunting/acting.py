"""Lets a finding act: tells gateways what they must know of its campaign, and raises the flags of its pack entry.

Law: the pack in force when a finding is published decides; an entry that is off, or gone from the pack, does nothing.
"""

from __future__ import annotations

from proxy.hunter.finding import Finding
from proxy.rules.campaigns.book import CampaignBook
from proxy.rules.campaigns.flags import raise_flags
from proxy.rules.campaigns.known import KnownCampaign, KnownTemplate
from proxy.rules.flags.flag import Flags
from proxy.rules.pack.pack import Campaign, Pack
from proxy.rules.pack.words import Mode


def publish(
    finding: Finding, pack: Pack, book: CampaignBook, flags: Flags, max_mode: Mode, now: float
) -> KnownCampaign | None:
    """Put a finding into the book and raise or renew its flags; return None if the pack has no active entry for it.

    Call it whenever the finding changes, and regularly while the campaign goes on, so that its flags do not end. `now`
    is Unix seconds.
    """
    campaign = next((entry for entry in pack.campaigns if entry.id == finding.rule), None)
    if campaign is None or campaign.mode is Mode.OFF:
        return None
    known = known_campaign(finding, campaign, now)
    before = book.get(finding.id) if finding.id in book else None
    left = () if before is None else before.accounts - known.accounts
    book.hear(known)
    raise_flags(flags, known, campaign, max_mode, now, left)
    return known


def known_campaign(finding: Finding, campaign: Campaign, now: float) -> KnownCampaign:
    """Return what gateways must know of a finding; it ends when the flags raised at `now` would."""
    reach = finding.reach
    return KnownCampaign(
        id=finding.id,
        rule=finding.rule,
        templates=tuple(KnownTemplate(*template) for template in finding.templates),
        accounts=frozenset(finding.members),
        opened_from=reach.opened_from,
        opened_to=reach.opened_to,
        began=reach.began,
        shared=reach.shared,
        updated_at=now,
        until=now + campaign.flag.ttl_ms / 1000,
        spared=reach.spared,
    )
