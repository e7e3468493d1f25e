"""The ladder: from the flags that count for an exchange to the rungs it stands on.

Laws: only flags that as many people confirmed as a rung's `approval` asks for add up to reach it; the highest rung
reached includes the lower ones; an exemption's cap takes away the rungs above it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from proxy.decision import Counted
from proxy.rules.flags.flag import Flag
from proxy.rules.pack.pack import Exemption, Rung
from proxy.rules.pack.words import Approval

_PEOPLE = {Approval.NONE: 0, Approval.ONE: 1, Approval.TWO: 2}


_COUNTED_MOST: Final = 1_024  # combinations of scores and confirmations remembered; a pack's rules make few


class Standing(NamedTuple):
    """Where an exchange stands: all flags and their sum, the rungs that act, lowest first, and those that wait for
    people to confirm flags.
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
        """The flags, with what each counts."""
        return {flag.name: (flag.score, len(flag.confirmed_by)) for flag in self.flags}

    def without_rungs(self) -> Standing:
        """Return the same flags, without any rung."""
        return self._replace(rungs=())


NOWHERE = Standing()


_Counted = tuple[tuple[int, int], ...]  # each flag's score, and how many people confirmed it


class _Reached(NamedTuple):
    score: int
    approved: tuple[int, ...]  # rungs by their number
    waiting: tuple[str, ...]


class Ladder:
    """The rungs of one pack, in the order of their scores."""

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._rungs = tuple(rungs)
        self._order = {rung.name: number for number, rung in enumerate(rungs)}
        self._reached: dict[_Counted, _Reached] = {}  # no `lru_cache`, which would keep a ladder in a cycle

    def stand(self, flags: Mapping[str, Flag], caps: Sequence[Exemption]) -> tuple[Standing, list[str]]:
        """Return where flags lead, and the ids of the exemptions among `caps` that took a rung away."""
        if not flags:
            return NOWHERE, []
        counted = tuple(flags.values())
        if len(counted) > 1:
            counted = tuple(sorted(counted, key=lambda flag: (-flag.score, flag.name)))
        score, approved, waiting = self._reached_with(tuple([(flag.score, len(flag.confirmed_by)) for flag in counted]))
        highest = cap = approved[-1] if approved else -1
        capping = []
        for exemption in caps:
            most = self._order[str(exemption.max_rung)]
            cap = min(cap, most)
            if most < highest:
                capping.append(exemption.id)
        rungs = tuple([self._rungs[number] for number in approved if number <= cap])
        return Standing(score, counted, rungs, waiting), capping

    def _reached_with(self, counted: _Counted) -> _Reached:
        """Return what flags with these scores and numbers of confirmations reach."""
        found = self._reached.get(counted)
        if found is None:
            if len(self._reached) >= _COUNTED_MOST:
                self._reached.clear()
            found = self._reached[counted] = self._added_up(counted)
        return found

    def _added_up(self, counted: _Counted) -> _Reached:
        score = sum([points for points, _ in counted])
        reached = [number for number, rung in enumerate(self._rungs) if score >= rung.score]
        approved = tuple([number for number in reached if self._approved(number, counted)])
        waiting = tuple([self._rungs[number].name for number in reached if number not in approved])
        return _Reached(score, approved, waiting)

    def _approved(self, number: int, counted: _Counted) -> bool:
        rung = self._rungs[number]
        people = _PEOPLE[rung.approval]
        return sum([points for points, confirmed in counted if confirmed >= people]) >= rung.score
