"""The exchanges of the window, a few numbers each, so that a suspicion can be looked at whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.chance import Floats
from proxy.hunter.columns import Columns
from proxy.hunter.event import Event
from proxy.hunter.grouped import Grouped
from proxy.hunter.hours import ActiveHours, hour_of
from proxy.hunter.ids import Numbers

# At 37 bytes each, and four in the index by account; what is older is forgotten first.
EXCHANGES_MOST = 10_000_000
_SEEN_BITS = 21  # two million exchanges that are known again when they are told twice: 17 MB


class Ledger:
    """One row an exchange, in the order told."""

    def __init__(self) -> None:
        self.rows = Columns(
            {
                "at": np.float64,
                "account": np.int32,
                "input": np.int32,
                "output": np.int32,
                "reasoning": np.int32,
                "delivered": np.bool_,
                "whole": np.bool_,
                "question": np.uint64,
            }
        )
        self._seen = np.zeros(1 << _SEEN_BITS, np.uint64)
        self._by_account = Grouped()
        self._hours = ActiveHours()

    def __len__(self) -> int:
        return len(self.rows)

    def fresh(self, events: Sequence[Event]) -> list[Event]:
        """Return the events that were not told before, as far as is remembered."""
        marks = np.array([_mark(event.at, event.account, event.question) for event in events], np.uint64)
        slots = (marks >> np.uint64(64 - _SEEN_BITS)).astype(np.int64)
        new = self._seen[slots] != marks
        new[np.setdiff1d(np.arange(len(marks)), np.unique(marks, return_index=True)[1])] = False
        self._seen[slots] = marks
        return events if new.all() else [event for event, fresh in zip(events, new.tolist(), strict=True) if fresh]  # type: ignore[return-value]

    def see(self, events: Sequence[Event], accounts: Numbers) -> None:
        """Add exchanges; `accounts` are their accounts' numbers."""
        self.rows.add(
            len(events),
            at=[event.at for event in events],
            account=accounts,
            input=[min(event.input_tokens, _INT_MOST) for event in events],
            output=[min(event.output_tokens, _INT_MOST) for event in events],
            reasoning=[min(event.reasoning_tokens, _INT_MOST) for event in events],
            delivered=[event.delivered for event in events],
            whole=[event.whole for event in events],
            question=[event.question for event in events],
        )

    def rows_of(self, wanted: NDArray[np.bool_]) -> Numbers:
        """Return the rows of the accounts that are wanted, in the order told; `wanted` is by account."""
        rows: Numbers = np.sort(self._by_account.rows_of(self.rows["account"], wanted))
        return rows

    def active_hours(self, left_out: NDArray[np.bool_], since: float, until: float) -> tuple[Floats, int]:
        """Return how many accounts were active in each hour, and the first hour; those left out are not counted.

        Times are Unix seconds, by whole hours.
        """
        at, accounts = self.rows["at"], self.rows["account"]
        done = self._hours.rows
        self._hours.take(at[done:], accounts[done:])
        first, last = hour_of(np.array([since, until])).tolist()
        return self._hours.without(left_out, first, last)

    def keep(self, accounts: Numbers, since: float) -> None:
        """Forget what is older; `accounts` has the new number of every account, -1 for those that are gone."""
        rows = self.rows
        rows["account"][:] = accounts[rows["account"]]
        kept = np.flatnonzero((rows["account"] >= 0) & (rows["at"] >= since))
        rows.keep(kept[-EXCHANGES_MOST:])
        self._by_account.forget()
        self._hours = ActiveHours()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything, for a checkpoint."""
        return self.rows.arrays()

    def restore(self, arrays: dict[str, NDArray[Any]], name: Callable[[int], str]) -> None:
        """Take what `arrays` returned, also in older versions, without reasoning tokens or which answers are whole.

        `name` returns an account's name, to recognise events that are told again.
        """
        self.rows.restore({"reasoning": np.zeros(len(arrays["at"]), np.int32), "whole": arrays["delivered"], **arrays})
        columns = [self.rows[key][-len(self._seen) :].tolist() for key in ("at", "account", "question")]
        marks = [_mark(at, name(account), question) for at, account, question in zip(*columns, strict=True)]
        seen = np.array(marks, np.uint64)
        self._seen[(seen >> np.uint64(64 - _SEEN_BITS)).astype(np.int64)] = seen


def _mark(at: float, account: str, question: int) -> int:
    return hash((at, account, question)) & _MASK


_MASK = (1 << 64) - 1
_INT_MOST = (1 << 31) - 1
