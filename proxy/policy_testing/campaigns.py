"""Makes the campaigns of a test's fixtures known, with their flags, as if the hunter had just found them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from proxy.keyed.link_names import PEER, PEER_PREFIX, LinkNames
from proxy.policy_testing.schema import CampaignFixture
from proxy.rules.campaigns.book import CampaignBook
from proxy.rules.campaigns.containment import Containment
from proxy.rules.campaigns.flags import raise_flags
from proxy.rules.campaigns.known import KnownCampaign, KnownTemplate
from proxy.rules.flags.flag import Flags
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode

_DAY_S: Final = 86_400
KEY: Final = b"pack tests: nothing is secret..."  # 32 bytes


class KnownCampaigns:
    """The campaigns of one world; `start` is Unix seconds, and their flags are raised then."""

    def __init__(self, pack: Pack, start: float, fixtures: Mapping[str, CampaignFixture], flags: Flags) -> None:
        self._start = start
        self._flags = flags
        self._entries = {entry.id: entry for entry in pack.campaigns}
        self._names = LinkNames(KEY)
        self._book = CampaignBook(self._names)
        self.containment = Containment(pack, self._book, Mode.ENFORCE)
        for number, (name, fixture) in enumerate(fixtures.items()):
            self._take(self._known(name, fixture, number))

    def join(self, campaign: str, account: str) -> None:
        """Make an account a member, if it is to be one and is none yet."""
        if campaign and account not in (known := self._book.get(campaign)).accounts:
            self._take(replace(known, accounts=known.accounts | {account}))

    def _take(self, known: KnownCampaign) -> None:
        self._book.hear(known)
        entry = self._entries.get(known.rule)
        if entry is not None:
            raise_flags(self._flags, known, entry, Mode.ENFORCE, self._start)

    def _known(self, name: str, fixture: CampaignFixture, number: int) -> KnownCampaign:
        def moment(days: float | None) -> float:
            return 0.0 if days is None else self._start - days * _DAY_S

        return KnownCampaign(
            id=name,
            rule=fixture.rule,
            templates=tuple(KnownTemplate(template, (), 1) for template in fixture.templates),
            accounts=frozenset(),
            opened_from=moment(fixture.oldest_days),
            opened_to=moment(fixture.youngest_days),
            began=moment(fixture.began_days),
            shared={kind: self._linked(kind, values) for kind, values in fixture.shared.items()},
            updated_at=self._start + number,  # of several that fit the last one in the file counts
            until=float("inf"),
        )

    def _linked(self, kind: str, values: Iterable[str]) -> frozenset[str]:
        if kind == PEER:
            return frozenset(self._names.peer(value)[0] for value in values)
        if kind == PEER_PREFIX:
            return frozenset(self._names.peer(value)[1] for value in values)
        return frozenset(self._names.name(kind, value) for value in values)
