"""The flags that are in force in one process; `FlagSync` shares them with the others.

Laws:
- Nothing here awaits. News for the store waits in a queue with at most one entry for each flag.
- A lifted flag comes back only if it is raised after it was lifted: an earlier raise that a process tells late does not
  count.
- A flag that every request renews is told when its end has moved by a part of its lifetime, not every time.
- Memory is bounded: the flags that were raised longest ago are evicted first, and counted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from types import MappingProxyType

from proxy.rules.flags.flag import Flag, FlagKey, Lifted, World
from proxy.rules.pack.words import Subject

# The largest campaigns known had 25,000 accounts, each flagged in two worlds; at about 1 kB a flag.
FLAGS_MAX = 100_000
# A flag's end has to move by a 16th of its lifetime before the store hears of it.
_TOLD_PART = 16

_NONE: Mapping[str, Flag] = MappingProxyType({})
_NEVER = Lifted(0.0, 0.0)


class _Standing:
    """The flags of one subject in one world.

    They are copied at the first change after they were shown, not at each raise: one request may raise thousands.
    """

    __slots__ = ("_flags", "_shown", "_until")

    def __init__(self) -> None:
        self._flags: dict[str, Flag] = {}
        self._shown = False
        self._until = 0.0  # the earliest end of the flags shown

    def at(self, now: float) -> Mapping[str, Flag]:
        """Return the live flags; a mapping that was returned never changes."""
        if not self._shown:
            self._shown = True
            self._until = min(flag.expires_at for flag in self._flags.values())
        if now < self._until:
            return self._flags
        # Ended flags stay here until they are forgotten: the clock may have been ahead and be set back.
        return {flag.name: flag for flag in self._flags.values() if flag.expires_at > now} or _NONE

    def to_change(self) -> dict[str, Flag]:
        """Return all flags for a change; at least one must be left when `at` is called."""
        if self._shown:
            self._flags, self._shown = dict(self._flags), False
        return self._flags


class _Mark:
    """A flag, and the flag as the store has it, if it does."""

    __slots__ = ("flag", "stored")

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        self.stored: Flag | None = None

    @property
    def is_news(self) -> bool:
        """Whether the store should hear of it."""
        flag, stored = self.flag, self.stored
        if stored is None or stored.score != flag.score:
            return True
        if flag.raised_at < stored.raised_at or flag.raised_at >= stored.expires_at:
            return True
        return (flag.expires_at - stored.expires_at) * _TOLD_PART > flag.expires_at - flag.last_raised


class FlagBook:
    """All flags that this process knows. `shared` says that a `FlagSync` runs on this book."""

    def __init__(self, *, shared: bool = False) -> None:
        self.evicted = 0  # flags let go although they had not ended
        self._shared = shared
        self._marks: OrderedDict[FlagKey, _Mark] = OrderedDict()  # raised least recently first
        self._standing: dict[str, dict[tuple[World, Subject], _Standing]] = {}  # by the subject's name
        self._lifted: dict[FlagKey, Lifted] = {}
        self._confirmed: dict[FlagKey, dict[str, float]] = {}  # -> person -> when
        self._unsent: dict[FlagKey, None] = {}
        self._to_look_at: list[FlagKey] = []  # not yet looked at in this round of `ended`

    def __len__(self) -> int:
        """Return how many flags are known."""
        return len(self._marks)

    def on(self, world: World, subject: Subject, name: str, now: float) -> Mapping[str, Flag]:
        """Return the live flags on one account, tenant, template or cluster, by flag name."""
        found = self._standing.get(name)
        if found is None:
            return _NONE
        standing = found.get((world, subject))
        return _NONE if standing is None else standing.at(now)

    def knows(self, name: str) -> bool:
        """Tell whether any flag on an account, tenant, template or cluster of this name is known."""
        return name in self._standing

    def put(self, world: World, subject: Subject, name: str, flag: Flag) -> None:
        """Set a flag, or renew it."""
        key = FlagKey(world, subject, name, flag.name)
        if self._is_lifted(key, flag, flag.last_raised):
            return
        mark = self._marks.get(key)
        if mark is None:
            mark = self._add(key, flag, flag.last_raised)
        else:
            mark.flag = mark.flag.renewed(flag)
            self._marks.move_to_end(key)
        self._show(key, mark)
        if self._shared and mark.is_news:
            self._unsent[key] = None

    def items(self, now: float) -> list[tuple[FlagKey, Flag]]:
        """Return every live flag."""
        return [(key, mark.flag) for key, mark in self._marks.items() if mark.flag.expires_at > now]

    @property
    def unsent(self) -> int:
        """How many flags the store has not heard of yet."""
        return len(self._unsent)

    def take(self, most: int, now: float) -> list[tuple[FlagKey, Flag]]:
        """Take up to `most` flags that the store should hear of; give back those that it did not."""
        keys = [key for key, _ in zip(self._unsent, range(most), strict=False)]
        for key in keys:
            del self._unsent[key]
        return [(key, flag) for key in keys if (flag := self._marks[key].flag).expires_at > now]

    def give_back(self, keys: Collection[FlagKey]) -> None:
        """Queue flags again that the store did not hear of."""
        self._unsent.update(dict.fromkeys(key for key in keys if key in self._marks))

    def hear(self, key: FlagKey, stored: Flag | None, now: float, *, found: bool = False) -> None:
        """Take the flag that the store has (None: it has none); what it lost, or never heard, is told again.

        An ended flag that was `found` by reading the store is kept too, so that somebody deletes it, but is evicted
        first. One from the feed is left to the process that told it, whose clock may be far behind ours.
        """
        mark = self._marks.get(key)
        if mark is not None and self._is_lifted(key, mark.flag, now):
            self._remove(key)
            mark = None
        if stored is not None and self._is_lifted(key, stored, now):
            stored = None
        if mark is None:
            ended = stored is not None and stored.expires_at <= now
            if stored is None or (ended and not (found and len(self._marks) < FLAGS_MAX)):
                return
            mark = self._add(key, stored, now)
            if ended:
                self._marks.move_to_end(key, last=False)
        elif stored is not None:
            mark.flag = mark.flag.merged(stored)
        elif mark.flag.expires_at <= now:
            self._remove(key)
            return
        mark.stored = stored
        self._show(key, mark)
        if self._shared and mark.is_news:
            self._unsent[key] = None

    def hear_lift(self, key: FlagKey, lifted: Lifted) -> None:
        """End a flag, unless it was raised after it was lifted."""
        known = self._lifted.get(key, _NEVER)
        if known == lifted:
            return
        last = self._lifted[key] = max(known, lifted)
        mark = self._marks.get(key)
        if mark is not None and mark.flag.last_raised <= max(last.at, last.through):
            self._remove(key)

    def hear_confirmation(self, key: FlagKey, who: str, at: float | None) -> None:
        """Note when somebody confirmed a flag of this name, or (None) drop that confirmation.

        It counts for the present flag if that was raised before it.
        """
        confirmed = self._confirmed.setdefault(key, {})
        if at is None:
            confirmed.pop(who, None)
        else:
            confirmed[who] = at
        mark = self._marks.get(key)
        if mark is not None:
            self._show(key, mark)
        if not confirmed:
            del self._confirmed[key]

    def confirmers(self, key: FlagKey) -> list[str]:
        """Return who confirmed any flag of this name, as far as the store still has it."""
        return list(self._confirmed.get(key, ()))

    def hear_all(self, present: Collection[tuple[FlagKey, str]], now: float) -> None:
        """Note that the store has only these flags and, where a person is named, these confirmations."""
        for key in [key for key in self._marks if (key, "") not in present]:
            self.hear(key, None, now)
        for key, who in [(key, who) for key, people in self._confirmed.items() for who in people]:
            if (key, who) not in present:
                self.hear_confirmation(key, who, None)

    def ended(self, before: float, looks: int) -> list[FlagKey]:
        """Look at `looks` flags, at others in each call, and return those that ended before the given time."""
        if not self._to_look_at:
            self._to_look_at = list(self._marks)
        looked_at = self._to_look_at[-looks:]
        del self._to_look_at[-looks:]
        return [key for key in looked_at if key in self._marks and self._marks[key].flag.expires_at < before]

    def forget(self, key: FlagKey) -> None:
        """Drop a flag that ended."""
        if key in self._marks:
            self._remove(key)

    def forget_lifts(self, before: float) -> list[FlagKey]:
        """Drop and return the lifted flags that would have ended before the given time."""
        past = [key for key, lifted in self._lifted.items() if lifted.until < before]
        for key in past:
            del self._lifted[key]
        return past

    def _is_lifted(self, key: FlagKey, flag: Flag, now: float) -> bool:
        lifted = self._lifted.get(key)
        return lifted is not None and flag.is_lifted(lifted, now)

    def _add(self, key: FlagKey, flag: Flag, now: float) -> _Mark:
        if len(self._marks) >= FLAGS_MAX:
            oldest = next(iter(self._marks))
            self.evicted += self._marks[oldest].flag.expires_at > now
            self._remove(oldest)
        mark = self._marks[key] = _Mark(flag)
        return mark

    def _remove(self, key: FlagKey) -> None:
        del self._marks[key]
        self._unsent.pop(key, None)
        world, subject, name, flag_name = key
        found = self._standing.get(name, {})
        standing = found.get((world, subject))
        if standing is None:
            return
        rest = standing.to_change()
        rest.pop(flag_name, None)
        if not rest:
            del found[world, subject]
            if not found:
                del self._standing[name]

    def _show(self, key: FlagKey, mark: _Mark) -> None:
        """Put a flag where `on` finds it; what `on` has returned does not change."""
        flag = mark.flag
        if (confirmed := self._confirmed.get(key)) is not None:
            after = max(flag.raised_at, self._lifted.get(key, _NEVER).at)
            flag = flag._replace(confirmed_by=tuple(sorted(who for who, at in confirmed.items() if at >= after)))
            mark.flag = flag
        world, subject, name, flag_name = key
        found = self._standing.setdefault(name, {})
        standing = found.get((world, subject))
        if standing is None:
            standing = found[world, subject] = _Standing()
        standing.to_change()[flag_name] = flag
