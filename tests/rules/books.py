"""Exact counters and flags in a few lines: what the engine's tests compare with, and nothing of the product."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from proxy.rules.flags.flag import Flag, World
from proxy.rules.pack.pack import Signal
from proxy.rules.pack.words import Subject


class ExactCounter:
    """Keeps every event of a signal."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        self._events: defaultdict[str, list[tuple[float, tuple[str, ...]]]] = defaultdict(list)

    def add(self, key: str, members: Sequence[str], now: float) -> int:
        self._events[key].append((now, tuple(members)))
        return self.count(key, now)

    def count(self, key: str, now: float) -> int:
        live = [members for when, members in self._events[key] if now - when < self._signal.window_ms / 1000]
        return len({member for members in live for member in members}) if self._signal.distinct else len(live)


class ExactSignals:
    """One counter a definition."""

    def __init__(self) -> None:
        self.counters: dict[str, ExactCounter] = {}

    def counter(self, signal: Signal) -> ExactCounter:
        return self.counters.setdefault(signal.digest, ExactCounter(signal))

    def keep_only(self, digests: frozenset[str]) -> None:
        self.counters = {digest: counter for digest, counter in self.counters.items() if digest in digests}


class ExactFlags:
    """Every flag, in a dictionary."""

    def __init__(self) -> None:
        self.flags: defaultdict[tuple[World, Subject, str], dict[str, Flag]] = defaultdict(dict)

    def on(self, world: World, subject: Subject, name: str, now: float) -> Mapping[str, Flag]:
        known = self.flags.get((world, subject, name), {})
        return {flag.name: flag for flag in known.values() if flag.expires_at > now}

    def knows(self, name: str) -> bool:
        return any(key[2] == name for key in self.flags)

    def put(self, world: World, subject: Subject, name: str, flag: Flag) -> None:
        known = self.flags[world, subject, name].get(flag.name)
        if known is not None and known.expires_at > flag.raised_at:
            higher = max(flag, known, key=lambda each: (each.score, each.rule))
            flag = higher._replace(
                raised_at=known.raised_at,
                expires_at=max(flag.expires_at, known.expires_at),
                times=known.times + 1,
                confirmed_by=known.confirmed_by,
            )
        self.flags[world, subject, name][flag.name] = flag
