"""What one process was granted of each limit and has not given back, to tell a store that lost it.

Law: memory is bounded; the limits used least recently are dropped first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from proxy.rules.quotas.store_time import StoreTime
from proxy.store.unit_window import UnitWindow

# At up to 10 kB for a limit that is used all the time; most take some hundred bytes.
_WINDOWS_MAX = 50_000
# Windows checked for being empty whenever one is added: more than one, so that empty ones do not pile up.
_SWEEP = 2


class Ledger:
    """The windows of one process, by bucket."""

    def __init__(self, time: StoreTime) -> None:
        self._time = time
        self._windows: OrderedDict[str, UnitWindow] = OrderedDict()

    def note(self, bucket: str, window_ms: int, slot: int, units: int) -> None:
        """Note units that were granted in a slot, or given back to it (negative)."""
        window = self._windows.get(bucket)
        if window is None:
            self._make_room()
            window = self._windows[bucket] = UnitWindow(window_ms)
        else:
            self._windows.move_to_end(bucket)
        if slot not in window.slots:
            window.advance(self._now())
            if self._time.has_left(slot, window_ms):
                return
        window.charge(slot, units)

    def _make_room(self) -> None:
        """Drop some empty windows and, if there are still too many, the one used least recently."""
        now = self._now()
        for name in [name for name, _ in zip(self._windows, range(_SWEEP), strict=False)]:
            window = self._windows[name]
            window.advance(now)
            if not window.total:
                del self._windows[name]
        if len(self._windows) >= _WINDOWS_MAX:
            self._windows.popitem(last=False)

    def _now(self) -> int:
        return int(self._time.monotonic() * 1000)

    def take(self) -> Iterator[tuple[str, int, int, int]]:
        """Empty the ledger, and yield what was in it as (bucket, window_ms, slot, units)."""
        windows, self._windows = self._windows, OrderedDict()
        for bucket, window in windows.items():
            for slot, units in window.slots.items():
                if units and not self._time.has_left(slot, window.window_ms):
                    yield bucket, window.window_ms, slot, units
