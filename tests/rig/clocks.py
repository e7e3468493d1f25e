"""Clocks whose wall reading can be set, as an operator or a time server does, while the other one goes on."""

from __future__ import annotations

import time

from proxy.clock import SystemClock, VirtualClock


class Settable(VirtualClock):
    """A clock that stands still until it is moved."""

    ahead = 0.0  # the wall reading, of what the other one says

    def wall(self) -> float:
        return super().wall() + self.ahead


class SettableSystem(SystemClock):
    """The machine's clocks."""

    ahead = 0.0

    def wall(self) -> float:
        return time.time() + self.ahead  # noqa: TID251 - this is a Clock
