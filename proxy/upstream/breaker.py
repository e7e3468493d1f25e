"""Leaves alone what fails again and again, and sees from time to time whether it is back."""

from __future__ import annotations

from collections.abc import Callable

from proxy.clock import Clock

_FAILURES, _REST_S = 5, 10.0
_LEFT_REST_S = 1.0


class Breaker:
    """Whether something is tried, after what came of it the last times; seconds.

    After five failures in a row it is left alone for ten seconds, then one caller tries it for all. Where `tenants` is
    more than one, failures of so many tenants are needed: what one of them asks for may be why it fails. `on_rest` is
    called for each rest: for every one after the first too, once whoever tried for all has failed.
    """

    def __init__(self, clock: Clock, *, tenants: int = 1, on_rest: Callable[[], None] | None = None) -> None:
        self._clock = clock
        self._tenants = tenants
        self._on_rest = on_rest
        self._failures = 0
        self._failed_for: set[str | None] = set()
        self._until: float | None = None  # it rests
        self._tried_at: float | None = None  # since then somebody tries for all

    def lets_through(self) -> bool:
        """Tell whether to try; while it rests, the first to ask after the time is up is told so, and tries for all."""
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
        """How long it still rests."""
        return 0.0 if self._until is None else max(0.0, self._until - self._clock.monotonic())

    def left(self, begun: float) -> None:
        """Note that nobody waits any more for what was begun then: where it was tried for all, another soon tries."""
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
        """Note that it failed; without a tenant, through nothing that anybody asked for."""
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
