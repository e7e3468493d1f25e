"""What came of a replay, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from proxy.replay.hunting import Grown
from proxy.replay.order import Jump

_UNREADABLE_SHOWN: Final = 10


class Fault(NamedTuple):
    """A line that could not be read, counted from 1 over all files, and why."""

    line: int
    why: str


class Campaign(NamedTuple):
    """A campaign as it stood when it last grew."""

    rule: str
    accounts: int
    confidence: float
    reported_at: float
    sought: str


@dataclass(slots=True)
class Summary:
    """Every line counts as one of `effects` (decided), unreadable, `refused` (a request that no dialect takes, or a
    record of an exchange that no pack judged) and `passed` (a record that is no exchange).

    `by` counts what denied or degraded, `shadow_rungs` where exchanges stood with rules in shadow. `unreadable` has the
    first unreadable lines, `duplicates` counts repeated exchanges, `late` those that came after a later one. `untold`
    are rules and quotas that could not be asked about records of a decision log. Times are Unix seconds of the traffic.
    """

    lines: int = 0
    unreadable_lines: int = 0
    unreadable: list[Fault] = field(default_factory=list)
    refused: int = 0
    passed: int = 0
    duplicates: int = 0
    late: int = 0
    jumped: int = 0
    jumps: list[Jump] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)
    by: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)
    shadow_rungs: Counter[str] = field(default_factory=Counter)
    untold: Counter[str] = field(default_factory=Counter)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    files: list[tuple[int, str]] = field(default_factory=list)  # lines before each, and its name
    broken: list[str] = field(default_factory=list)
    began: float = 0.0
    ended: float = 0.0
    seconds: float = 0.0  # that the replay took

    def note_unreadable(self, line: int, why: str) -> None:
        """Count a line that could not be read; `line` is from 0."""
        self.unreadable_lines += 1
        if len(self.unreadable) < _UNREADABLE_SHOWN:
            self.unreadable.append(Fault(line + 1, why))

    def place(self, line: int) -> str:
        """Return the place of a line, counted from 0 over all files: its file, and its number there, from 1."""
        before, file = [begun for begun in self.files if begun[0] <= line][-1]
        return f"{file}:{line - before + 1}"

    def note_grown(self, grown: Grown) -> None:
        """Note a campaign that was reported or grew."""
        finding = grown.finding
        before = self.campaigns.get(finding.id)
        since = grown.at if before is None else before.reported_at
        self.campaigns[finding.id] = Campaign(
            finding.rule, len(finding.members), finding.confidence, since, finding.sought
        )

    @property
    def whole(self) -> bool:
        """Whether every line and file could be read."""
        return not self.unreadable_lines and not self.broken
