"""Whom the campaigns of a test's fixtures meet under a pack's plain document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.policy_testing.plain_conditions import Values, seconds, texts

ENFORCED, SHADOW = "enforced", "shadow"
_DAY_S = 86_400


@dataclass
class Sent:
    """One exchange: who sends it, its fields but the signals, and the most and the real length of its answer."""

    account: str
    tenant: str
    key: str
    fields: dict[str, Any]
    most: int
    written: int
    template: str
    cluster: str
    age_days: float  # at the start
    payment: str
    refused: bool


@dataclass(frozen=True)
class Ties:
    """The template and the cluster that count for an exchange, empty if none does."""

    template: str
    cluster: str


class PlainCampaigns:
    """The fixtures' campaigns, found at the start."""

    def __init__(self, entries: list[Any], campaigns: dict[str, Any], default_mode: str) -> None:
        self._campaigns = campaigns
        self._entries = {entry["id"]: {"mode": default_mode, **entry} for entry in entries}
        self._members: dict[str, set[str]] = {name: set() for name in campaigns}

    def join(self, sent: Sent) -> None:
        """Make a caller a member of the campaign that he is said to be one of."""
        if sent.cluster:
            self._members[sent.cluster].add(sent.account)

    def flags(self) -> Iterator[tuple[str, str, str, Any]]:
        """Yield each flag that a report leaves: in which world, on what, whose name that is, and the flag."""
        for name, campaign in self._campaigns.items():
            entry = self._entries[campaign["rule"]]
            subjects = {"template": campaign["templates"], "cluster": [name]}
            if "cluster" not in texts(entry["flag"]["on"]):  # its flag is that of every member
                subjects["account"] = sorted(self._members[name])
            for world in {"enforce": (ENFORCED, SHADOW), "shadow": (SHADOW,), "off": ()}[entry["mode"]]:
                for subject in texts(entry["flag"]["on"]):
                    yield from ((world, subject, each, entry["flag"]) for each in subjects.get(subject, ()))

    def ties(self, sent: Sent, world: str) -> Ties:
        """Return what counts for an exchange in a world."""
        template = cluster = ""
        for name, campaign in self._campaigns.items():
            entry = self._entries[campaign["rule"]]
            if entry["mode"] == "off" or (entry["mode"] == "shadow" and world == ENFORCED):
                continue
            if sent.account in self._members[name]:
                cluster = name
            if sent.template in campaign["templates"] and self._reaches(name, entry.get("contain", {}), sent):
                template = sent.template
        return Ties(template, cluster)

    def _reaches(self, name: str, contain: Values, sent: Sent) -> bool:
        campaign = self._campaigns[name]
        if sent.account in self._members[name]:
            return True
        if "opened_within" in contain:
            within, began = seconds(contain["opened_within"]) / _DAY_S, campaign["began_days"]
            # Of the time before the beginning no more than `opened_within` counts.
            oldest = min(max(campaign.get("oldest_days", began), began), began + within)
            youngest = min(campaign.get("youngest_days", began), began)
            if youngest - within <= sent.age_days <= oldest + within:
                return True
        return "payment" in contain.get("sharing", ()) and sent.payment in campaign["shared"]["payment"]
