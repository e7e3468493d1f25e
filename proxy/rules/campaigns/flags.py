"""Raises the flag of a campaign's entry on its templates, its cluster and its accounts.

A flag on the cluster counts for every account while it is a member. So where the entry flags both, an account gets a
flag of its own only when it leaves: leaving does not free it, and the largest campaigns do not put 50,000 flags into
the store, which all processes would have to read. An entry that flags accounts but not the cluster flags each account;
beyond `FLAGS_MAX` the flag book evicts those raised longest ago, and counts them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from proxy.rules.campaigns.known import KnownCampaign
from proxy.rules.engine import capped
from proxy.rules.flags.flag import Flag, Flags, World
from proxy.rules.pack.pack import Campaign
from proxy.rules.pack.words import Mode, Subject


def raise_flags(
    flags: Flags,
    known: KnownCampaign,
    campaign: Campaign,
    max_mode: Mode,
    now: float,
    left: Collection[str] = (),
) -> None:
    """Raise or renew a campaign's flags; call it with every update of the campaign.

    `left` are the accounts that stopped being members with this update. In shadow only the shadow world is flagged; an
    entry that is off flags nothing.
    """
    mode = capped(campaign.mode, max_mode)
    if mode is Mode.OFF:
        return
    worlds = (World.ENFORCED, World.SHADOW) if mode is Mode.ENFORCE else (World.SHADOW,)
    spec = campaign.flag
    reason = f"{_reason(known.id)} {len(known.accounts)} accounts by then"  # not told anew when another joins
    flag = Flag(spec.name, spec.score, now, now + spec.ttl_ms / 1000, campaign.id, reason)
    for subject, name in _subjects(known, campaign, left):
        for world in worlds:
            flags.put(world, subject, name, flag)


def is_of(flag: Flag, campaign: str) -> bool:
    """Tell whether a report of this campaign was the last to raise a flag."""
    return flag.reason.startswith(_reason(campaign))


def _reason(campaign: str) -> str:
    return f"campaign {campaign}:"


def _subjects(known: KnownCampaign, campaign: Campaign, left: Collection[str]) -> Iterator[tuple[Subject, str]]:
    """Yield what is flagged, accounts first: so they are the first to be evicted when there are too many flags."""
    on = campaign.flag.on
    if Subject.ACCOUNT in on:
        for account in left:
            yield Subject.ACCOUNT, account
        if Subject.CLUSTER not in on:
            for account in known.accounts:
                yield Subject.ACCOUNT, account
    if Subject.TEMPLATE in on:
        for template in known.templates:
            yield Subject.TEMPLATE, template.id
    if Subject.CLUSTER in on:
        yield Subject.CLUSTER, known.id
