"""Writes the headers that tell a client what is left of its own limits: those of its API, and the standard ones.

The standard ones are those of draft-ietf-httpapi-ratelimit-headers-09, structured fields (RFC 9651) in whole seconds.
Their policies are named by what is counted: a quota's own name would tell of the pack. All lines are made as one text,
since making and checking ten headers one by one would cost more than all of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from operator import itemgetter
from typing import Any, NamedTuple

from proxy.clock import Clock
from proxy.dialects.base import Dialect
from proxy.rules.pack.pack import Limit
from proxy.rules.pack.words import Measure
from proxy.rules.quotas.reservation import NOTHING, Amounts, Denial, Plan
from proxy.rules.quotas.shown_limits import binding

_UNITS = {
    Measure.REQUESTS: "requests",
    Measure.INPUT_TOKENS: "tokens",
    Measure.OUTPUT_TOKENS: "tokens",
    Measure.TOTAL_TOKENS: "tokens",
    Measure.CONCURRENCY: "concurrent-requests",
}
_MOST_SHOWN = 999_999_999_999_999  # the largest integer of a structured field
_MOST_CACHED = 256  # forms; packs that come and go leave theirs behind
_Key = tuple[str | int, ...]  # a dialect's name, and the identities of limits


class _Form(NamedTuple):
    """What stays the same as long as the same limits are told."""

    fixed: list[str]
    order: itemgetter[Any]  # picks values and fixed pieces in the order of the wire
    limits: list[Limit]  # kept alive, so that no other gets the identity of one


class LimitHeaders:
    """Writes these headers for one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._forms: dict[_Key, _Form] = {}

    def lines(
        self,
        dialect: Dialect,
        plan: Plan,
        asked: Amounts,
        met: Denial | None = None,
        hidden: Sequence[int] = NOTHING,
    ) -> str:
        """Return the header lines, each with its end; empty if no limit of the plan is told.

        `asked` is what the exchange reserves, `met` the limit that refused it. `hidden` is how much less it reserves
        than its caller thinks, who is not to learn from what is left that the request was changed.
        """
        clock = self._clock
        told = binding(plan, asked, clock.monotonic(), met)
        if not told:
            return ""
        identities: list[str | int] = [dialect.name]
        values: list[str] = []
        now, reset_text = clock.wall(), dialect.limit_reset
        for _, measure, limit, remaining, reset in told:
            identities.append(id(limit))
            seconds = ceil(reset)
            left = remaining - hidden[measure]
            shown = str(left) if 0 < left < _MOST_SHOWN else _at_the_end(left)
            values += (shown, str(seconds), reset_text(seconds, now))
        key = tuple(identities)
        form = self._forms.get(key)
        if form is None:
            form = self._form(key, dialect, [limit for _, _, limit, _, _ in told])
        fixed, order, _ = form
        return "".join(order(values + fixed))

    def _form(self, key: _Key, dialect: Dialect, limits: list[Limit]) -> _Form:
        if len(self._forms) >= _MOST_CACHED:
            self._forms.clear()
        pieces = _text(dialect, limits).split("\0")  # fixed pieces, and between two of them the number of a value
        values = 3 * len(limits)
        order = [int(piece) if place % 2 else values + place // 2 for place, piece in enumerate(pieces)]
        form = self._forms[key] = _Form(pieces[::2], itemgetter(*order), limits)
        return form


def _at_the_end(left: int) -> str:
    return str(_MOST_SHOWN) if left > 0 else "0"


def _text(dialect: Dialect, limits: Sequence[Limit]) -> str:
    """Return the header lines, in which the numbers of values stand between NULs.

    A limit has three values: what is left, and the reset, in seconds and as the API says it.
    """
    own: dict[tuple[str, str, str], str] = {}
    policies, lefts = [], []
    for number, limit in enumerate(limits):
        left, seconds, reset = (f"\0{3 * number + place}\0" for place in range(3))
        name = limit.measure.replace("_", "-")
        most = min(limit.max, _MOST_SHOWN)
        policy, remaining = f'"{name}";q={most};qu="{_UNITS[limit.measure]}"', f'"{name}";r={left}'
        if limit.window_ms:  # concurrency has none
            policy, remaining = f"{policy};w={-(-limit.window_ms // 1000)}", f"{remaining};t={seconds}"
        policies.append(policy)
        lefts.append(remaining)
        names = dialect.limit_names(limit.measure)
        if names is not None:  # of those that share names the first is the tightest
            lines = zip(names, (limit.max, left, reset), strict=True)
            own.setdefault(names, "".join([f"{header}: {value}\r\n" for header, value in lines]))
    return f"{''.join(own.values())}ratelimit-policy: {', '.join(policies)}\r\nratelimit: {', '.join(lefts)}\r\n"
