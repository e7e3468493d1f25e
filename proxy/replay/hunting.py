"""Hands exchanges to the hunter as events, asks it for findings every so often, and lets findings act.

Laws: events come in order of time and in batches; what the hunter finds at one time acts on what comes later; a
campaign that goes on has its flags renewed, even if nothing else about it is new. When the hunter is asked depends only
on the exchanges, their times and the decisions.
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
# The hunter is not asked until this part of what it holds is new. Judging costs some microseconds for each exchange
# held: done every few minutes for a large deployment, it would take most of a replay and grow with the square of the
# traffic. So each new exchange pays for judging 200, however many there are. With a third of this part a campaign gains
# as much before it is contained as if the hunter were always asked; with twice this part, a sixth more.
_NEW_PART: Final = 0.005
# An account that is answered from the ladder for its prompt alone may be a stranger to the campaign. Once one account
# was so many times, the hunter is asked as soon as a running one would look again.
_REACHED_OFTEN: Final = 8
_SOON_S: Final = 30.0
# The hunter is asked at least this often, so that flags that last an hour do not end where little is sent.
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
        """The ids of campaigns that were merged into another one."""
        ...

    def see(self, events: Sequence[Event]) -> None:
        """Take events."""
        ...

    def judge(self, now: float) -> list[Finding]:
        """Return the findings that are new or have changed since the last call."""
        ...


class Grown(NamedTuple):
    """A campaign as it was when reported or when it grew, and the accounts that joined it then."""

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
    """The hunter on virtual time, asked every `every_s` seconds of it if enough is new."""

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
        self._members: dict[str, set[str]] = {}  # by campaign, as last told
        self._published: dict[str, float] = {}  # campaign -> its last exchange

    def note(self, judged: Judged) -> None:
        """Take one exchange that has ended."""
        exchange, decision, status, used = judged
        withheld = "withhold" in decision.applied
        # A recorded answer has its own length, whatever would be done with it now.
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
        """Let the hunter judge at all times that are due by now."""
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
