"""What people do about flags: look at them, lift them, confirm them; only the admin side uses it.

Laws: every change names who made it and why, and is announced to all processes; one person confirms a flag once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import NamedTuple

from proxy.clock import Clock
from proxy.errors import ConfigurationError
from proxy.rules.flags.flag import CLOCKS_APART_S, Flag, FlagKey, Lifted, World
from proxy.rules.flags.rows import (
    CONFIRMATIONS_TABLE,
    FLAGS_TABLE,
    LIFTS_TABLE,
    Confirmation,
    Lift,
    confirmation_row,
    lift_row,
    read_confirmation,
    read_flag,
    read_lift,
    read_name,
    row_name,
)
from proxy.rules.pack.words import Subject
from proxy.store.base import Row, Store

# Flags that one script decides about; it keeps the server busy for a few milliseconds.
_PART = 100


class Shown(NamedTuple):
    """A flag with all that people decided about it; `flag` is None if it is not in force."""

    key: FlagKey
    flag: Flag | None
    confirmations: tuple[Confirmation, ...]
    lift: Lift | None


class FlagRegistry:
    """The flags of all processes, as they stand in the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def list(
        self, *, world: World | None = None, subject: Subject | None = None, name: str | None = None
    ) -> AsyncIterator[tuple[FlagKey, Flag]]:
        """Yield the flags in force, in no order; each argument that is given narrows them."""
        lifted = {row: read_lift(value).lifted async for row, value in self._store.scan(LIFTS_TABLE)}
        confirmed: dict[FlagKey, list[Confirmation]] = {}
        async for row, value in self._store.scan(CONFIRMATIONS_TABLE):
            key, who = read_name(row)
            confirmed.setdefault(key, []).append(read_confirmation(who, value))
        async for row, value in self._store.scan(FLAGS_TABLE):
            key, _ = read_name(row)
            if (world or key.world, subject or key.subject, name if name is not None else key.name) != key[:3]:
                continue
            flag = self._in_force(read_flag(key, value), lifted.get(row))
            if flag is not None:
                yield key, _with(flag, _counted(flag, confirmed.get(key, []), lifted.get(row)))

    async def show(self, key: FlagKey) -> Shown:
        """Return one flag. Raises KeyError if there is none and none was lifted recently."""
        value = await self._store.read(FLAGS_TABLE, row_name(key))
        lifted = await self._store.read(LIFTS_TABLE, row_name(key))
        lift = None if lifted is None else read_lift(lifted)
        flag = None
        if value is not None:
            flag = self._in_force(read_flag(key, value), lift and lift.lifted)
        if flag is None:
            if lift is None:
                raise KeyError(key)
            return Shown(key, None, (), lift)
        counted = _counted(flag, await self._confirmations(key), lift and lift.lifted)
        return Shown(key, _with(flag, counted), counted, lift)

    async def lift(self, key: FlagKey, who: str, why: str) -> Flag:
        """Lift a flag everywhere and return it; it comes back if it is raised anew. Raises KeyError."""
        shown = await self.show(key)
        flag = shown.flag
        if flag is None:
            raise KeyError(key)
        await self._store.write(
            [
                lift_row(key, _lift_of(flag, self._clock.wall(), who, why)),
                Row(FLAGS_TABLE, row_name(key), None),
                *(Row(CONFIRMATIONS_TABLE, row_name(key, by), None) for by, _, _ in await self._confirmations(key)),
            ]
        )
        return flag

    async def confirm(self, key: FlagKey, who: str, why: str) -> Flag:
        """Confirm a flag and return it. Raises KeyError, and ConfigurationError if this person already has."""
        flag = (await self.show(key)).flag
        if flag is None:
            raise KeyError(key)
        row = confirmation_row(key, Confirmation(who, max(self._clock.wall(), flag.raised_at), why))
        if not await self._store.write([row], only_new=True):
            if who in flag.confirmed_by:
                raise ConfigurationError(f"{who} has confirmed this flag already")
            await self._store.write([row])  # the present row confirms an earlier flag of this name
        return flag._replace(confirmed_by=tuple(sorted({*flag.confirmed_by, who})))

    async def lift_all(self, which: Callable[[FlagKey, Flag], bool], who: str, why: str) -> int:
        """Lift every flag in force that `which` picks; return how many these are, counted as `_told` does."""
        found = [(key, flag) async for key, flag in self.list() if which(key, flag)]
        now = self._clock.wall()
        for part in _parts(found):
            rows: list[Row] = []
            for key, flag in part:
                rows += (lift_row(key, _lift_of(flag, now, who, why)), Row(FLAGS_TABLE, row_name(key), None))
                rows += (Row(CONFIRMATIONS_TABLE, row_name(key, by), None) for by in flag.confirmed_by)
            await self._store.write(rows)
        return _told(found)

    async def confirm_all(self, which: Callable[[FlagKey, Flag], bool], who: str, why: str) -> int:
        """Confirm every flag in force that `which` picks and this person has not; return how many, as `lift_all`."""
        found = [(key, flag) async for key, flag in self.list() if which(key, flag) and who not in flag.confirmed_by]
        now = self._clock.wall()
        for part in _parts(found):
            await self._store.write(
                [confirmation_row(key, Confirmation(who, max(now, flag.raised_at), why)) for key, flag in part]
            )
        return _told(found)

    async def _confirmations(self, key: FlagKey) -> Sequence[Confirmation]:
        """Return all confirmations of flags of this name, also of earlier ones."""
        return [
            read_confirmation(read_name(row)[1], value)
            async for row, value in self._store.scan(CONFIRMATIONS_TABLE)
            if read_name(row)[0] == key
        ]

    def _in_force(self, flag: Flag, lifted: Lifted | None) -> Flag | None:
        now = self._clock.wall()
        ended = flag.expires_at <= now or (lifted is not None and flag.is_lifted(lifted, now))
        return None if ended else flag


def _lift_of(flag: Flag, now: float, who: str, why: str) -> Lift:
    """Return the lift of a flag as of now; the clock of the process that raised it may be ahead of ours."""
    last = flag.last_raised
    at, through = (max(now, last), 0.0) if last <= now + CLOCKS_APART_S else (now, last)
    return Lift(at, who, why, max(flag.expires_at, at + flag.expires_at - last), through)


def _parts(found: Sequence[tuple[FlagKey, Flag]]) -> Iterator[Sequence[tuple[FlagKey, Flag]]]:
    return (found[first : first + _PART] for first in range(0, len(found), _PART))


def _told(found: Sequence[tuple[FlagKey, Flag]]) -> int:
    """Return how many flags these are for people: the same flag in both worlds counts once."""
    return len({key[1:] for key, _ in found})


def _counted(flag: Flag, confirmations: Sequence[Confirmation], lifted: Lifted | None) -> tuple[Confirmation, ...]:
    """Return the confirmations of this flag, without those of earlier flags of its name."""
    after = flag.raised_at if lifted is None else max(flag.raised_at, lifted.at)
    return tuple(sorted(entry for entry in confirmations if entry.at >= after))


def _with(flag: Flag, confirmations: Sequence[Confirmation]) -> Flag:
    return flag._replace(confirmed_by=tuple(entry.by for entry in confirmations))
