"""What is known of each account: when it was opened, how it connects, how much it asks and what for.

Laws: all is a sum over the exchanges of the window or taken from an account's earliest exchange, so the order in which
exchanges are told makes no difference; a string is numbered once, and forgotten with the last account that has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.archive import pack_names, unpack_names
from proxy.hunter.columns import Columns
from proxy.hunter.event import Event

# The least score at which a field counts as seen.
_SURE = 0.8

# What accounts ask for; counted in exchanges.
WISHES = (
    "trace_elicitation",
    "rubric_grading",
    "synthetic_generation",
    "refusal_rewrite",
    "identity_claim",
    "logprobs",
    "obfuscation",
)
_OBFUSCATED = 0.2
_DAY_S = 86400.0


class Names:
    """Numbers strings in the order in which they arrive; the empty string is 0."""

    def __init__(self, known: Sequence[str] = ("",)) -> None:
        self.known = list(known)
        self._numbers = {name: number for number, name in enumerate(self.known)}

    def number(self, name: str) -> int:
        """Return a string's number, a new one if it has none."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.known)
            self.known.append(name)
        return number

    def find(self, name: str) -> int | None:
        """Return a string's number, None if it has none."""
        return self._numbers.get(name)

    def find_all(self, names: Iterable[str]) -> list[int]:
        """Return the numbers of those strings that have one."""
        return [number for number in map(self._numbers.get, names) if number is not None]


class Accounts:
    """All accounts seen in the window; `rows` has a row for each, by its number."""

    def __init__(self) -> None:
        self.rows = Columns(
            {
                "tenant": np.int32,
                "opened": np.float64,
                "first": np.float64,
                "last": np.float64,
                "exchanges": np.int32,
                "output": np.int64,
                "whole": np.int32,
                "log_output": np.float64,
                "cut": np.int32,
                "log_cut": np.float64,
                "agent": np.int32,
                "wishes": (np.float32, len(WISHES)),
            }
        )
        self._names = Names(())
        self._tenants = Names()
        self._agents = Names()
        self._by_opening = np.zeros(0, np.intp)  # as far as it was asked for

    def __len__(self) -> int:
        return len(self._names.known)

    def name(self, number: int) -> str:
        """Return an account's name."""
        return self._names.known[number]

    def names(self, numbers: NDArray[np.integer[Any]]) -> list[str]:
        """Return the names of accounts."""
        known = self._names.known
        return [known[number] for number in numbers.tolist()]

    def tenants(self, numbers: NDArray[np.integer[Any]]) -> list[str]:
        """Return the names of accounts' tenants."""
        known = self._tenants.known
        return [known[number] for number in self.rows["tenant"][numbers].tolist()]

    @property
    def agents(self) -> Sequence[str]:
        """The keyed names of clients, by the number that accounts have; the first is empty, for unknown."""
        return self._agents.known

    def number(self, name: str) -> int | None:
        """Return an account's number, None if it was not seen in the window."""
        return self._names.find(name)

    def among(self, names: Collection[str]) -> NDArray[np.bool_]:
        """Tell of each account whether it is one of these."""
        found = np.zeros(len(self), np.bool_)
        found[self._names.find_all(names)] = True
        return found

    def see(self, events: Sequence[Event]) -> NDArray[np.int32]:
        """Count exchanges, and return for each the number of its account."""
        known = len(self)
        numbers = np.array([self._names.number(event.account) for event in events], np.int32)
        first: dict[int, Event] = {}
        for number, event in zip(numbers.tolist(), events, strict=True):
            if number >= known and number not in first:
                first[number] = event
        if first:
            self._add(list(first.values()))
        rows = self.rows
        at = np.array([event.at for event in events])
        for place in np.flatnonzero(at < rows["first"][numbers]).tolist():  # told late: rarely
            if at[place] < rows["first"][number := numbers[place]]:
                self._describe(number, events[place])
                self._by_opening = self._by_opening[:0]
        output = np.array([event.output_tokens for event in events], np.int64)
        # What is added has its column's type: with another it takes ten times as long.
        np.maximum.at(rows["last"], numbers, at)
        np.add.at(rows["exchanges"], numbers, np.int32(1))
        np.add.at(rows["output"], numbers, output)
        # A cut answer does not tell how long it would have been: an account whose answers were cut from the first would
        # look unlike the others. So cut answers are summed apart, to be compared with other cut ones.
        whole = np.array([event.whole for event in events], np.bool_)
        cut = np.array([event.delivered for event in events], np.bool_) & ~whole
        for count, size, chosen in (("whole", "log_output", whole), ("cut", "log_cut", cut)):
            np.add.at(rows[count], numbers, chosen.astype(np.int32))
            np.add.at(rows[size], numbers, np.log1p(output) * chosen)
        wishes = [wish for event in events for wish in _wishes(event)]
        np.add.at(rows["wishes"], numbers, np.array(wishes, np.float32).reshape(-1, len(WISHES)))
        return numbers

    def by_opening(self) -> NDArray[np.intp]:
        """Return all accounts in the order of their opening, and of their numbers if opened together."""
        opened, known = self.rows["opened"], self._by_opening
        if len(known) < len(opened):
            new = np.argsort(opened[len(known) :], kind="stable") + len(known)
            places = np.searchsorted(opened[known], opened[new], side="right")
            self._by_opening = known = np.insert(known, places, new)
        return known

    def keep(self, numbers: NDArray[np.intp]) -> None:
        """Keep these accounts only, numbered anew in the order given."""
        self.rows.keep(numbers)
        self._by_opening = self._by_opening[:0]
        self._names = Names([self._names.known[number] for number in numbers.tolist()])
        self._tenants = _kept(self._tenants, self.rows["tenant"])
        self._agents = _kept(self._agents, self.rows["agent"])

    def keep_sums(self, held_of: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Reduce sums to the exchanges that are still held, of which `held_of` has the ledger's sums, by column.

        Return which part of its exchanges each account has left; what it asked for is taken to be spread evenly over
        them. If an account's exchanges all made room for newer ones, everything stays as it was.
        """
        rows = self.rows
        owners, output, whole, delivered = (held_of[name] for name in ("account", "output", "whole", "delivered"))
        held = np.bincount(owners, minlength=len(rows))
        fewer = (held > 0) & (held < rows["exchanges"])
        left = np.where(fewer, held / rows["exchanges"], 1.0)
        rows["exchanges"][fewer] = held[fewer]
        rows["output"][fewer] = np.bincount(owners, output, minlength=len(rows))[fewer]
        for count, size, chosen in (("whole", "log_output", whole), ("cut", "log_cut", delivered & ~whole)):
            rows[count][fewer] = np.bincount(owners, chosen, minlength=len(rows))[fewer]
            rows[size][fewer] = np.bincount(owners, np.log1p(output) * chosen, minlength=len(rows))[fewer]
        rows["wishes"][:] *= left[:, None]
        return left

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything, for a checkpoint."""
        names = {"names": self._names, "tenants": self._tenants, "agents": self._agents}
        return {**self.rows.arrays(), **{key: pack_names(value.known) for key, value in names.items()}}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take what `arrays` returned, also in older versions, which did not tell which answers are whole."""
        none = np.zeros(len(arrays["exchanges"]))
        self.rows.restore({"whole": arrays["exchanges"], "cut": none, "log_cut": none, **arrays})
        self._by_opening = self._by_opening[:0]
        self._names, self._tenants, self._agents = (
            Names(unpack_names(arrays[key])) for key in ("names", "tenants", "agents")
        )

    def _add(self, events: Sequence[Event]) -> None:
        start = len(self.rows)
        self.rows.add(len(events), last=[event.at for event in events])
        for number, event in enumerate(events, start):
            self._describe(number, event)

    def _describe(self, number: int, event: Event) -> None:
        """Take what is known of an account from its earliest exchange."""
        rows = self.rows
        rows["tenant"][number] = self._tenants.number(event.tenant)
        rows["agent"][number] = self._agents.number(event.agent)
        rows["first"][number] = event.at
        # An account opened after it was used has some other unit there than Unix seconds.
        rows["opened"][number] = event.opened if event.opened <= event.at + _DAY_S else 0.0


def _kept(names: Names, numbers: NDArray[np.int32]) -> Names:
    """Return the names that are in use, numbered anew; `numbers` is renumbered in place."""
    used = np.unique(numbers)
    used = used[used > 0]
    renumbered = np.zeros(len(names.known), np.int32)
    renumbered[used] = np.arange(1, len(used) + 1)
    numbers[:] = renumbered[numbers]
    return Names(["", *(names.known[number] for number in used.tolist())])


def _wishes(event: Event) -> tuple[bool, ...]:
    asked = event.asked
    return (
        asked.trace_elicitation >= _SURE,
        asked.rubric_grading >= _SURE,
        asked.synthetic_generation >= _SURE,
        asked.refusal_rewrite >= _SURE,
        bool(asked.identity_claim),
        asked.logprobs,
        asked.obfuscation >= _OBFUSCATED,
    )
