"""The hunt: exchanges in, findings out; pure, on whatever clock the caller has.

The way of a suspicion: prints and links that join accounts with too much in common (`suspicions`) form groups
(`suspects`); who really belongs is decided account by account (`belonging`, `membership`); the families of evidence are
weighed (`families`, `evidence`); what is sure enough for the pack's terms is reported.

Laws:
- Events in another order, twice, or up to an hour late change no finding: only sums and sets are kept.
- Memory is bounded: see the limits in `postings`, `ledger`, `links` and below.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from proxy.fingerprint.distinct import distinct
from proxy.hunter.accounts import Accounts
from proxy.hunter.alike import Known
from proxy.hunter.archive import pack_arrays, pack_names, unpack_arrays, unpack_names
from proxy.hunter.background import Background, as_busy, background
from proxy.hunter.belonging import LEAST_ACCOUNTS, who_belongs
from proxy.hunter.case import Case
from proxy.hunter.dealing import mostly_dealt
from proxy.hunter.event import Event
from proxy.hunter.evidence import certainty, confidence, weigh
from proxy.hunter.finding import Evidence, Finding
from proxy.hunter.grouped import in_order
from proxy.hunter.ids import Numbers, mostly
from proxy.hunter.ledger import EXCHANGES_MOST, Ledger
from proxy.hunter.links import LINKS_MOST, Links
from proxy.hunter.looks import Looks
from proxy.hunter.named import Named
from proxy.hunter.postings import PAIRS_MOST, Postings, followed
from proxy.hunter.reporting import LookedAt, overdue, report, tells_more
from proxy.hunter.suspects import Suspects
from proxy.hunter.suspicions import Told, suspicious_links, suspicious_prints
from proxy.hunter.terms import LIKELY, Going, Terms, first_met
from proxy.hunter.texts import used_texts

# At about 400 bytes each; beyond these, the accounts that asked least and longest ago are forgotten.
ACCOUNTS_MOST = 500_000
_FORGET_EVERY_S = 6 * 3600.0
_BEYOND = 1.1  # of the limits: beyond this, everything above them is forgotten at once
_LINKS_EVERY = 6  # rounds: chains of links change slowly, and all must be looked at


class Hunt:
    """What one hunter knows. `terms` are those of the pack in force."""

    def __init__(self, terms: Sequence[Terms]) -> None:
        self._terms = tuple(terms)
        self._accounts = Accounts()
        self._postings = Postings()
        self._links = Links()
        self._ledger = Ledger()
        self._suspects = Suspects()
        self._looks = Looks()
        self._honest: set[str] = set()  # accounts of what was dismissed
        self._forgot_at = 0.0
        self._since = -np.inf
        self._round = 0

    @property
    def held(self) -> int:
        """How many exchanges are held."""
        return len(self._ledger)

    @property
    def findings(self) -> Mapping[str, Finding]:
        """The campaigns as last reported, by id."""
        return {group.id: group.finding for group in self._suspects if group.finding is not None}

    @property
    def merged(self) -> Collection[str]:
        """The ids of findings that were merged into another one."""
        return self._suspects.merged

    def adopt(self, terms: Sequence[Terms]) -> None:
        """Go by another pack from now on."""
        self._terms = tuple(terms)
        self._looks.forget()

    def see(self, events: Sequence[Event]) -> None:
        """Take note of exchanges."""
        events = self._ledger.fresh(events)
        if not events:
            return
        accounts = self._accounts.see(events)
        self._ledger.see(events, accounts)
        self._links.see(events, accounts)
        prints, sizes = followed([event.prints for event in events])
        at = np.repeat(np.array([event.at for event in events]), sizes)
        tenants = self._accounts.rows["tenant"]
        self._postings.see(prints, np.repeat(accounts, sizes), at, tenants)
        if not self._has_room(_BEYOND):
            self._let_go(self._since)

    def judge(self, now: float) -> list[Finding]:
        """Return the findings that are new or have changed since the last time. `now` is Unix seconds."""
        if not self._terms:
            return []
        if abs(now - self._forgot_at) >= _FORGET_EVERY_S:
            self._forget(now)
        if not len(self._accounts):
            return []
        self._round += 1
        before = self.findings
        tenants = self._accounts.rows["tenant"]
        honest = self._accounts.among(self._honest)
        self._suspects.acquit(honest)
        suspected = np.zeros(len(self._accounts), np.bool_)
        for group in self._suspects:
            if group.confidence >= LIKELY:
                suspected[group.core] = True
        usual = background(self._accounts, self._links, self._ledger, suspected, now, self._doubtful())
        told = Told(self._suspects.findings_of(len(self._accounts)), self._postings.marked(self._suspects.prints()))
        suspicions = suspicious_prints(self._postings, tenants, usual, told, LEAST_ACCOUNTS)
        if self._round % _LINKS_EVERY == 1:
            suspicions += suspicious_links(tenants, usual, LEAST_ACCOUNTS)
        heard = [entry for entry in suspicions if not mostly(honest, entry.accounts)] if honest.any() else suspicions
        self._suspects.hear(heard, len(self._accounts), LEAST_ACCOUNTS, now, self._accounts.name)
        self._suspects.leave(list(self._look_closer(usual, honest, now)), now)
        return [finding for finding in self.findings.values() if finding is not before.get(finding.id)]

    def dismiss(self, finding_id: str) -> None:
        """Take a finding back for good: neither its text nor its accounts raise a suspicion by themselves any more.

        Raises KeyError if there is no such finding.
        """
        group = self._suspects[finding_id]
        if group.finding is not None:
            self._honest |= group.finding.members.keys()
        self._suspects.dismiss(group)

    def excuse(self, finding: Finding) -> None:
        """Dismiss a finding that is no longer known here, by what was told of it."""
        self._honest |= finding.members.keys()
        self._suspects.excuse(key for template in finding.templates for key in template.prints)

    def confirm(self, finding_id: str) -> None:
        """Go on reporting a finding, however sure its evidence makes it. Raises KeyError."""
        self._suspects[finding_id].confirmed = True

    def to_bytes(self) -> bytes:
        """Return the state for `from_bytes`, without the prints that only one tenant used so far."""
        parts = {
            "accounts": self._accounts.arrays(),
            "postings": self._postings.arrays(),
            "links": self._links.arrays(),
            "ledger": self._ledger.arrays(),
            "suspects": self._suspects.arrays(),
            "hunt": {
                "honest": pack_names(sorted(self._honest)),
                "when": np.array([self._forgot_at, self._round]),
            },
        }
        return pack_arrays(parts)

    @classmethod
    def from_bytes(cls, data: bytes, terms: Sequence[Terms]) -> Hunt:
        """Return a hunt that goes on from a state of `to_bytes`. Raises ValueError for other bytes."""
        hunt = cls(terms)
        try:
            parts = unpack_arrays(data)
            hunt._accounts.restore(parts["accounts"])
            hunt._postings.restore(parts["postings"])
            hunt._links.restore(parts["links"])
            hunt._ledger.restore(parts["ledger"], hunt._accounts.name)
            hunt._suspects.restore(parts["suspects"])
            hunt._honest = set(unpack_names(parts["hunt"]["honest"]))
            hunt._forgot_at, hunt._round = float(parts["hunt"]["when"][0]), int(parts["hunt"]["when"][1])
        except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError("is no hunt") from error
        return hunt

    def _doubtful(self) -> np.ndarray:
        """Tell who sends a likely campaign's text, or one that is dealt out, in most exchanges."""
        doubtful = mostly_dealt(self._postings, self._accounts)
        likely = [group for group in self._suspects if group.confidence >= LIKELY]
        known = [self._looks.texts(group) for group in likely]
        new = [group for group, used in zip(likely, known, strict=True) if used is None]
        for used in [*filter(None, known), *used_texts(self._postings, new, self._accounts)]:
            if used.joins:
                mostly = 2 * used.exchanges >= self._accounts.rows["exchanges"][used.users]
                doubtful[used.users[mostly]] = True
        return doubtful

    def _look_closer(self, usual: Background, honest: np.ndarray, now: float) -> Iterator[Finding]:
        """Find who belongs to each group and weigh the evidence, except for groups that were said to be honest."""
        self._looks.renew(self._suspects, lambda told: overdue(told, self._terms, now), self._postings, self._accounts)
        named = who_belongs(self._suspects, self._looks, self._postings, self._accounts, usual)
        known = Known((one for one in named if one.group.finding is not None), len(self._accounts), usual)
        owner = np.full(len(self._accounts), -1)
        heard = (one for one in named if one.group.finding is not None or not mostly(honest, one.members))
        fresh = [entry for entry in heard if entry.fresh]
        for number, entry in enumerate(fresh):
            owner[entry.members] = number
        for entry, rows in zip(fresh, self._rows_of(owner, len(fresh)), strict=True):
            case, evidence = self._weigh(entry, rows, usual)
            rule = self._rule_of(entry, case, evidence)
            if rule is None:
                continue
            if entry.group.finding is None:
                same = self._suspects.told_of_text(entry.group) or known.whole_of(entry)
                if same is not None:  # from the next round on it is told as part of that one
                    self._suspects.merge(same, entry.group)
                    continue
                known.add(entry)
            spared = frozenset(self._accounts.names(entry.strangers))
            terms = next(terms for terms in self._terms if terms.rule == rule)
            if tells_more(case, terms, spared, entry.group.finding, now):
                looked_at = LookedAt(entry.ties, spared)
                finding = report(entry.group, entry.used, case, evidence, looked_at, rule, now, self._links)
                entry.group.finding = finding
                yield finding

    def _rows_of(self, group_of: Numbers, count: int) -> list[Mapping[str, np.ndarray]]:
        """Return the ledger's rows of the accounts of each group."""
        mine = self._ledger.rows_of(group_of >= 0)
        groups = group_of[self._ledger.rows["account"][mine]]
        mine = mine[in_order(groups)]
        ends = np.cumsum(np.bincount(groups, minlength=count))
        return [self._ledger.rows.part(part) for part in np.split(mine, ends[:-1]) if count]

    def _weigh(
        self, named: Named, rows: Mapping[str, np.ndarray], usual: Background
    ) -> tuple[Case, Sequence[Evidence]]:
        """Weigh a group, and note how sure it is."""
        group, used, members, pool, _, alike, sent, *_ = named
        outsiders = used.outsiders(members, usual)
        users = used.users if used.joins else members
        uses, same = used.of(members), used.repeated_by(members)
        case = Case(members, users, uses, same, used.joins, alike, sent, pool, outsiders, rows, self._accounts, usual)
        evidence: Sequence[Evidence] = weigh(case)
        if group.finding is None:
            evidence = self._among_as_busy(case, evidence, min(terms.min_confidence for terms in self._terms))
        group.confidence = confidence(evidence)
        return case, evidence

    def _among_as_busy(self, case: Case, evidence: Sequence[Evidence], least: float) -> Sequence[Evidence]:
        """Return the evidence or, if it is as sure as `least`, the weaker of it and that beside equally busy accounts.

        Accusing takes more than going on: members must also stand out from accounts that are as busy.
        """
        if confidence(evidence) < least:
            return evidence
        peers = weigh(replace(case, usual=as_busy(case.members, self._accounts, case.usual)))
        return min(evidence, peers, key=confidence)

    def _rule_of(self, named: Named, case: Case, evidence: Sequence[Evidence]) -> str | None:
        """Return the first rule whose terms a group meets."""
        group, size, tenants = named.group, len(named.members), len(distinct(case.column("tenant")))
        if group.finding is None:
            return first_met(self._terms, size, tenants, None, lambda: certainty(evidence))
        going = Going(group.finding.rule, group.confidence, group.confirmed)
        new = min((terms.min_confidence for terms in self._terms if terms.rule != going.rule), default=1.0)
        return first_met(self._terms, size, tenants, going, lambda: certainty(self._among_as_busy(case, evidence, new)))

    def _forget(self, now: float) -> None:
        """Forget what is older than every window before the last exchange, not before now: a clock may leap."""
        self._forgot_at = now
        at = self._ledger.rows["at"]
        last = float(at[at <= now].max(initial=-np.inf))
        self._since = min(now, last) - max(terms.window_s for terms in self._terms)
        self._let_go(self._since)

    def _has_room(self, part: float = 1.0) -> bool:
        """Tell whether no more is held than this part of the limits."""
        full = (
            len(self._accounts) / ACCOUNTS_MOST,
            len(self._ledger) / EXCHANGES_MOST,
            len(self._postings.pairs) / PAIRS_MOST,
            len(self._links.pairs) / LINKS_MOST,
        )
        return max(full) <= part

    def _let_go(self, since: float) -> None:
        """Forget what is older than `since` and what exceeds the limits; if there is neither, nothing is rebuilt."""
        self._looks.forget()
        rows = self._accounts.rows
        if float(rows["first"].min(initial=np.inf)) >= since and self._has_room():
            return
        kept = np.flatnonzero(rows["last"] >= since)
        if len(kept) > ACCOUNTS_MOST:
            rank = np.lexsort((rows["last"][kept], rows["exchanges"][kept]))
            kept = np.sort(kept[rank[-ACCOUNTS_MOST:]])
        numbers = np.full(len(rows), -1, np.int32)
        numbers[kept] = np.arange(len(kept), dtype=np.int32)
        self._accounts.keep(kept)
        self._links.keep(numbers)
        self._ledger.keep(numbers, since)
        left = self._accounts.keep_sums(self._ledger.rows.arrays())
        self._postings.keep(numbers, since, left)
        self._suspects.keep(numbers, self._postings.numbers)
