"""Leaves alone what fails again and again, and has it tried from time to time to see whether it is back."""

from __future__ import annotations

from collections.abc import Callable

from proxy.clock import Clock

_FAILURES, _REST_S = 5, 10.0
_LEFT_REST_S = 1.0


class Breaker:
    """Tells whether to try something, after how it went before.

    After five failures in a row it is left alone for ten seconds, then one caller tries it for all. Where `tenants` is
    more than one, failures of so many tenants are needed: what one asks for may be the reason. `on_rest` is called at
    the beginning of each rest, also of one that follows a failed try.
    """

    def __init__(self, clock: Clock, *, tenants: int = 1, on_rest: Callable[[], None] | None = None) -> None:
        self._clock = clock
        self._tenants = tenants
        self._on_rest = on_rest
        self._failures = 0
        self._failed_for: set[str | None] = set()
        self._until: float | None = None  # while it rests: until when
        self._tried_at: float | None = None  # since when somebody tries for all

    def lets_through(self) -> bool:
        """Tell whether to try; the first to ask after a rest is up tries for all, while others are still told no."""
        if self._until is None:
            return True
        now = self._clock.monotonic()
        if now < self._until:
            return False
        self._until = now + _REST_S
        self._tried_at = now
        return True

    @property
    def rest(self) -> float:
        """For how many seconds it still rests."""
        return 0.0 if self._until is None else max(0.0, self._until - self._clock.monotonic())

    def left(self, begun: float) -> None:
        """Note that what was begun at `begun` was abandoned: if that was the try for all, another may try soon."""
        if self._tried_at is not None and self._until is not None and begun >= self._tried_at:
            self._until = min(self._until, self._clock.monotonic() + _LEFT_REST_S)
            self._tried_at = None

    def worked(self) -> None:
        """Note that it worked."""
        if self._failures:
            self._failures = 0
            self._failed_for.clear()
            self._until = None
            self._tried_at = None

    def failed(self, tenant: str | None = None) -> None:
        """Note that it failed; `tenant` is whose request it was, None if no request can have been the reason."""
        self._failures = min(self._failures + 1, _FAILURES)
        if len(self._failed_for) < self._tenants:
            self._failed_for.add(tenant)
        others = None in self._failed_for or len(self._failed_for) >= self._tenants
        begins = self._failures == _FAILURES and others and self._until is None
        if begins:
            self._until = self._clock.monotonic() + _REST_S
        if (begins or self._tried_at is not None) and self._on_rest is not None:
            self._on_rest()
        self._tried_at = None
