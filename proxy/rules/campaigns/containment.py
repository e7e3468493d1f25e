"""Ties an exchange to known campaigns under one pack, in enforcement and in shadow.

Laws:
- A campaign counts in both worlds, in shadow only, or not at all, as the pack's entry that its `rule` names says.
- A campaign in shadow changes nothing in enforcement, even if it matches better or was updated later.
- A template counts for members, and for others as the entry's `contain` says. The best match that counts for the caller
  is taken: nobody escapes by making a prompt look more like that of strangers.
- A prompt is matched by all of its prints, not by a sample: text around a template cannot push its prints out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from proxy.exchange import Exchange, Ties
from proxy.rules.campaigns.book import CampaignBook, Match
from proxy.rules.engine import capped
from proxy.rules.pack.pack import Contain, Pack
from proxy.rules.pack.words import Mode


class _Entry(NamedTuple):
    contain: Contain | None
    enforced: bool


class Containment:
    """A book's campaigns as one pack treats them; `max_mode` caps their modes."""

    def __init__(self, pack: Pack, book: CampaignBook, max_mode: Mode) -> None:
        self._book = book
        self._entries = {
            entry.id: _Entry(entry.contain, mode is Mode.ENFORCE)
            for entry in pack.campaigns
            if (mode := capped(entry.mode, max_mode)) is not Mode.OFF
        }
        self.looks = bool(self._entries)  # whether any entry is on, so that prompts must be fingerprinted

    @property
    def matches(self) -> bool:
        """Whether a prompt may match anything."""
        return self.looks and len(self._book) > 0

    def place(self, exchange: Exchange) -> None:
        """Set the template and cluster of an exchange, and its ties to them in both worlds.

        The prompt is matched by its prints; without prints, by the template that the exchange already has.
        """
        prints = exchange.prints
        if prints is not None and prints.every is not prints.sample:  # nobody else needs all of them
            exchange.prints = prints._replace(every=prints.sample)
        if not self.matches:
            return
        book = self._book
        found: list[Match] = []
        if prints is not None:
            found = book.matches(prints.every)
        elif exchange.template:
            found = book.called(exchange.template)
        clusters = book.clusters(exchange.principal.account)
        if not found and not clusters:
            return
        cluster, enforced_cluster = self._cluster(clusters)
        template, enforced_template, matched = self._template(exchange, found)
        exchange.template, exchange.cluster = template or matched, cluster
        exchange.ties = Ties(enforced_template, enforced_cluster)
        exchange.shadow_ties = Ties(template, cluster)

    def _cluster(self, clusters: Sequence[str]) -> tuple[str, str]:
        """Return the cluster that counts in shadow and the one that counts in enforcement, empty if none."""
        shadow = ""
        for campaign in clusters:
            entry = self._entry(campaign)
            if entry is not None:
                shadow = shadow or campaign
                if entry.enforced:
                    return shadow, campaign
        return shadow, ""

    def _template(self, exchange: Exchange, found: Sequence[Match]) -> tuple[str, str, str]:
        """Return the template that counts in shadow, the one that counts in enforcement, and the best match of all."""
        shadow = matched = ""
        for template, campaign in found:
            entry = self._entry(campaign)
            if entry is None:
                continue
            matched = matched or template
            if shadow and not entry.enforced:
                continue
            if self._book.reached(campaign, exchange.principal, exchange.peer, entry.contain):
                shadow = shadow or template
                if entry.enforced:
                    return shadow, template, matched
        return shadow, "", matched

    def _entry(self, campaign: str) -> _Entry | None:
        return self._entries.get(self._book.get(campaign).rule)
