"""Hands exchanges to the hunter as events, asks it for findings every so often, and lets findings act.

Laws: events come in the order of their moments and in batches; what the hunter finds at a moment acts on what comes
after it; a campaign that goes on has its flags renewed, also where nothing else about it is new. When it is asked
depends on the exchanges, their moments and what was decided alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from proxy.decision import Effect
from proxy.hunter.event import Event
from proxy.hunter.finding import Finding
from proxy.hunting.telling import event
from proxy.keyed.link_names import LinkNames
from proxy.replay.judging import Judged

_BATCH: Final = 2_048
# A moment is skipped until so much of what the hunter holds is new. To judge costs some microseconds for each exchange
# held: every few minutes of a large deployment that would soon be most of a replay, and grow with the square of the
# traffic. So each new exchange pays for the judging of 200, however many there are. With a third of that a campaign has
# gained as much before it is contained as if every moment were judged; with twice as much a sixth more.
_NEW_PART: Final = 0.005
# Whoever is answered from the ladder for his prompt alone may be somebody else who has that prompt. Once one account
# was so often, the hunter is asked as soon as a running one would look again.
_REACHED_OFTEN: Final = 8
_SOON_S: Final = 30.0
# Not longer than this, so that flags that last an hour do not end where little is sent.
_LONGEST_S: Final = 1_800.0


class Hunter(Protocol):
    """What finds campaigns, as `proxy.hunter.hunt` does."""

    @property
    def held(self) -> int:
        """How many exchanges it holds."""
        ...

    @property
    def findings(self) -> Mapping[str, Finding]:
        """The campaigns known, by id."""
        ...

    @property
    def merged(self) -> Collection[str]:
        """The ids of those that became a part of another one."""
        ...

    def see(self, events: Sequence[Event]) -> None:
        """Take events."""
        ...

    def judge(self, now: float) -> list[Finding]:
        """Return what is new, or has changed since the last time."""
        ...


class Grown(NamedTuple):
    """A campaign at the moment at which it was reported or grew, and the accounts that joined it then."""

    at: float
    finding: Finding
    joined: tuple[str, ...]


class Acting(NamedTuple):
    """What is done with findings.

    `publish` lets one act as it stands, `withdraw` takes one back, `end` drops those that ended, `tell` reports.
    """

    publish: Callable[[Finding, float], None]
    withdraw: Callable[[str], None]
    end: Callable[[float], object]
    tell: Callable[[Grown], None]


class Hunting:
    """The hunter at work on virtual time, asked every `every_s` seconds of it where enough is new."""

    def __init__(self, hunter: Hunter, names: LinkNames, acting: Acting, every_s: float) -> None:
        self._hunter = hunter
        self._names = names
        self._acting = acting
        self._every_s = every_s
        self._due: float | None = None
        self._events: list[Event] = []
        self._new = 0  # exchanges since the last judging
        self._judged_at = 0.0
        self._reached: Counter[str] = Counter()  # by account: answers for the prompt alone since the last judging
        self._pressing = False
        self._members: dict[str, set[str]] = {}  # as told, by campaign
        self._published: dict[str, float] = {}  # campaign -> its last exchange

    def note(self, judged: Judged) -> None:
        """Take one exchange that has ended."""
        exchange, decision, status, used = judged
        withheld = "withhold" in decision.applied
        # An answer that was recorded is as long as it was, whatever would be done with it now.
        effect = Effect.DENY if decision.effect is Effect.DENY else Effect.ALLOW
        told = event(exchange, used, effect, self._names, delivered=status == 200, withheld=withheld)
        self._events.append(told)
        self._new += 1
        if exchange.template and not exchange.cluster and decision.by:
            account = exchange.principal.account
            self._reached[account] += 1
            self._pressing |= self._reached[account] >= _REACHED_OFTEN
        if len(self._events) >= _BATCH:
            self._flush()

    def reach(self, now: float) -> None:
        """Let the hunter judge whatever is due by now."""
        if self._pressing and now - self._judged_at >= _SOON_S:
            self._judge(now)
        due = self._due
        if due is not None and now < due:
            return
        if due is not None and self._new and self._worth(due):
            self._judge(due)
        self._acting.end(now)
        self._due = (now // self._every_s + 1) * self._every_s

    def finish(self, now: float) -> None:
        """Let the hunter judge once more, at the end."""
        if self._new:
            self._judge(now)

    def _worth(self, due: float) -> bool:
        """Tell whether enough is new to look again."""
        return self._new >= _NEW_PART * self._hunter.held or due - self._judged_at >= _LONGEST_S

    def _judge(self, now: float) -> None:
        self._flush()
        self._new, self._judged_at = 0, now
        self._reached.clear()
        self._pressing = False
        for finding in self._hunter.judge(now):
            self._act(finding, now)
        for finding in list(self._hunter.findings.values()):
            if finding.last_at > self._published.get(finding.id, 0.0):
                self._act(finding, now)
        for finding_id in self._published.keys() & set(self._hunter.merged) - self._hunter.findings.keys():
            self._acting.withdraw(finding_id)
            del self._published[finding_id]

    def _act(self, finding: Finding, now: float) -> None:
        self._published[finding.id] = finding.last_at
        self._acting.publish(finding, now)
        told = self._members.setdefault(finding.id, set())
        joined = finding.members.keys() - told
        if joined:
            told |= joined
            self._acting.tell(Grown(now, finding, tuple(sorted(joined))))

    def _flush(self) -> None:
        if self._events:
            self._hunter.see(self._events)
            self._events = []
