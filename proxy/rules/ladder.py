"""The ladder: from the flags that count for an exchange to the rungs it stands on.

Laws: the score of a rung is the sum of the flags that enough people confirmed for its `approval`; the highest rung
reached includes the lower ones; an exemption's cap takes the rungs above it away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from proxy.decision import Counted
from proxy.rules.flags.flag import Flag
from proxy.rules.pack.pack import Exemption, Rung
from proxy.rules.pack.words import Approval

_PEOPLE = {Approval.NONE: 0, Approval.ONE: 1, Approval.TWO: 2}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an exchange stands: all flags and their sum, the rungs that act, the lowest first, and those that wait for
    somebody to confirm a flag.
    """

    score: int = 0
    flags: tuple[Flag, ...] = ()
    rungs: tuple[Rung, ...] = ()
    waiting: tuple[str, ...] = ()

    @property
    def rung(self) -> str:
        """The name of the highest rung, empty if there is none."""
        return self.rungs[-1].name if self.rungs else ""

    @property
    def counted(self) -> Counted:
        """What each of the flags counts."""
        return {flag.name: (flag.score, len(flag.confirmed_by)) for flag in self.flags}

    def without_rungs(self) -> Standing:
        """Return the same flags with nothing done about them."""
        return replace(self, rungs=())


NOWHERE = Standing()


class Ladder:
    """The rungs of one pack, in the order of their scores."""

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._rungs = tuple(rungs)
        self._order = {rung.name: number for number, rung in enumerate(rungs)}

    def stand(self, flags: Mapping[str, Flag], caps: Sequence[Exemption]) -> tuple[Standing, list[str]]:
        """Return where flags lead, and the ids of the exemptions that kept a rung from being taken."""
        if not flags:
            return NOWHERE, []
        counted = tuple(sorted(flags.values(), key=lambda flag: (-flag.score, flag.name)))
        score = sum(flag.score for flag in counted)
        reached = [number for number, rung in enumerate(self._rungs) if score >= rung.score]
        approved = [number for number in reached if self._approved(number, counted)]
        highest = approved[-1] if approved else -1
        waiting = tuple(self._rungs[number].name for number in reached if number not in approved)
        capping = []
        for exemption in caps:
            most = self._order[str(exemption.max_rung)]
            if most < highest:
                capping.append(exemption.id)
        cap = min([highest, *[self._order[str(exemption.max_rung)] for exemption in caps]])
        rungs = tuple(self._rungs[number] for number in approved if number <= cap)
        return Standing(score, counted, rungs, waiting), capping

    def _approved(self, number: int, flags: Sequence[Flag]) -> bool:
        rung = self._rungs[number]
        people = _PEOPLE[rung.approval]
        return sum([flag.score for flag in flags if len(flag.confirmed_by) >= people]) >= rung.score
