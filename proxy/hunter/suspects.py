"""Groups of accounts under suspicion, from the first coincidence to the finding.

Laws: an account is in at most one group, and so is a print; a group keeps its id while it grows, and of two that turn
out to be one, the older one's id stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.archive import pack_names, unpack_names
from proxy.hunter.finding import Finding, together
from proxy.hunter.finding_rows import read_finding, write_finding
from proxy.hunter.ids import Keys, Numbers, mostly
from proxy.hunter.suspicions import Suspicion

# Beyond these, the group without a finding that was looked at longest ago is dropped.
_SUSPECTS_MOST = 2_000
_MERGED_MOST = 1_000
_NOBODY = np.int32(-1)


@dataclass(slots=True, eq=False)
class Suspect:
    """One group: the numbers of its accounts, its prints, and what was last made of it.

    `among` is how many accounts those were chosen from: among any hundred one finds ten that are alike. `raised_by` is
    the print by which they came to notice, 0 for none; it may be another group's.
    """

    id: str
    core: Numbers
    raised_by: int = 0
    among: int = 0
    keys: set[int] = field(default_factory=set)
    habits: Keys = field(default_factory=lambda: np.zeros(0, np.uint64))  # of the keys; see `texts`
    chosen_at: tuple[int, int, int] = (0, 0, 0)  # how large it was when its habits were chosen
    touched_at: float = 0.0
    confidence: float = 0.0
    finding: Finding | None = None
    confirmed: bool = False


class Suspects:
    """All groups, by id."""

    def __init__(self) -> None:
        self._merged: dict[str, None] = {}  # in the order in which they became so
        self._known: dict[str, Suspect] = {}
        self._owner_of_key: dict[int, str] = {}
        self._honest_keys: set[int] = set()  # of what was dismissed

    def __iter__(self) -> Iterator[Suspect]:
        """Return the groups, those with a finding first, and of these the oldest."""
        groups = self._known.values()
        return iter(sorted(groups, key=lambda group: group.finding.found_at if group.finding else np.inf))

    def __len__(self) -> int:
        return len(self._known)

    def __getitem__(self, suspect_id: str) -> Suspect:
        """Return a group. Raises KeyError."""
        return self._known[suspect_id]

    @property
    def merged(self) -> Collection[str]:
        """The ids of findings that were lately merged into another one; older ones were taken back long ago."""
        return self._merged.keys()

    def hear(
        self, suspicions: Iterable[Suspicion], accounts: int, least: int, now: float, name: Callable[[int], str]
    ) -> None:
        """Add each suspicion to the group that has half of it, or of which it has most, or begin a group with it.

        `name` returns an account's name.
        """
        owners = np.full(accounts, _NOBODY)
        order = list(self._known.values())
        for number, group in enumerate(order):
            owners[group.core] = number
        for suspicion in suspicions:
            key, members = suspicion.key, suspicion.accounts
            if key in self._honest_keys:
                continue
            owned = owners[members]
            free = members[owned < 0]
            counts = np.bincount(owned[owned >= 0], minlength=1)
            best = int(counts.argmax())
            if counts[best] and (2 * counts[best] >= len(members) or _swallows(counts[best], order[best])):
                group = order[best]
                if group.finding is not None and (key or group.finding.templates):
                    # Who belongs to a finding is asked of those who have its text; that has to be its own.
                    free = free[:0]
                    key = key if 2 * counts[best] >= suspicion.users else 0
            elif len(free) >= max(least, len(members) / 2):
                group = Suspect(_named(key, free, name), free[:0], key)
                if group.id in self._known:
                    continue
                self._merged.pop(group.id, None)  # what it was a part of is forgotten
                best = len(order)
                order.append(group)
                self._known[group.id] = group
            else:
                continue
            if len(free):
                group.core = np.concatenate([group.core, free])
                owners[free] = best
            group.among = max(group.among, suspicion.users, len(group.core))
            group.touched_at = now
            if key and key not in self._owner_of_key:
                group.keys.add(key)
                self._owner_of_key[key] = group.id
        self._let_go()

    def told_of_text(self, group: Suspect) -> Suspect | None:
        """Return the group with a finding, if there is one, that has the print which raised this one."""
        other = self._known.get(self._owner_of_key.get(group.raised_by, ""))
        return None if other is group or other is None or other.finding is None else other

    def merge(self, into: Suspect, other: Suspect) -> None:
        """Make one group of two."""
        into.core = np.union1d(into.core, other.core)
        into.among = max(into.among, other.among, len(into.core))
        into.keys |= other.keys
        into.confirmed |= other.confirmed
        if other.finding is not None:
            self._merged[other.id] = None
            for oldest in list(self._merged)[:-_MERGED_MOST]:  # who takes over asks the store about each
                del self._merged[oldest]
        if into.finding is not None and other.finding is not None:
            into.finding = together(into.finding, other.finding)
        self._owner_of_key.update(dict.fromkeys(other.keys, into.id))
        del self._known[other.id]

    def drop(self, group: Suspect) -> None:
        """Forget a group."""
        for key in group.keys:
            self._owner_of_key.pop(key, None)
        self._known.pop(group.id, None)

    def dismiss(self, group: Suspect) -> None:
        """Forget a group for good: its prints raise no suspicion any more."""
        self.excuse(group.keys)
        self.drop(group)

    def excuse(self, keys: Iterable[int]) -> None:
        """Let prints raise no suspicion any more."""
        self._honest_keys.update(keys)

    def acquit(self, honest: NDArray[np.bool_]) -> None:
        """Suspect no group any longer of whose accounts most were said to be honest, if it is no finding."""
        for group in self._known.values():
            if group.finding is None and mostly(honest, group.core):
                group.confidence = 0.0

    def leave(self, told: Iterable[Finding], now: float) -> None:
        """Take the accounts of findings that were told out of all others."""
        owners = {name: finding.id for finding in told for name in finding.members}
        for group in list(self._known.values()) if owners else []:
            if group.finding is None:
                continue
            members = group.finding.members
            lost = {name for name in members.keys() & owners.keys() if owners[name] != group.id}
            if lost:
                left = {name: member for name, member in members.items() if name not in lost}
                group.finding = replace(group.finding, members=left, updated_at=now)

    def findings_of(self, accounts: int) -> Numbers:
        """Return of each of so many accounts the number of the finding that it is a member of, -1 for none."""
        found = np.full(accounts, _NOBODY)
        for number, group in enumerate(self):
            if group.finding is not None:
                found[group.core] = number
        return found

    def prints(self) -> Keys:
        """Return every print that a group has."""
        return as_keys(self._owner_of_key)

    def keep(self, accounts: Numbers, numbers: Callable[[Keys], Numbers]) -> None:
        """Forget accounts that are gone; `accounts` has the new number of every account, -1 for those.

        And so prints that nobody used of late, for which `numbers` returns -1: but for those by which a group is known
        again, a campaign that goes on for months would have ever more.
        """
        for group in list(self._known.values()):
            core = accounts[group.core]
            group.core = core[core >= 0]
            if not len(group.core) and not group.confirmed:
                self.drop(group)
                continue
            keys = as_keys(group.keys)
            gone = {*keys[numbers(keys) < 0].tolist()} - {group.raised_by, *group.habits.tolist()}
            if group.finding is not None:
                gone.difference_update(*(template.prints for template in group.finding.templates))
            group.keys -= gone
            for key in gone:
                self._owner_of_key.pop(key, None)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything, for a checkpoint."""
        groups = list(self._known.values())
        found: dict[str, NDArray[Any]] = {
            "ids": np.array([group.id for group in groups], np.str_),
            "numbers": np.array(
                [
                    [group.among, group.touched_at, group.confidence, group.confirmed, *group.chosen_at]
                    for group in groups
                ]
            ),
            "raised": np.array([group.raised_by for group in groups], np.uint64),
            "honest": _sorted(self._honest_keys),
            "merged": pack_names(list(self._merged)),
        }
        for number, group in enumerate(groups):
            found[f"core{number}"] = group.core
            found[f"keys{number}"] = _sorted(group.keys)
            found[f"habits{number}"] = group.habits
            if group.finding is not None:
                found[f"finding{number}"] = np.frombuffer(write_finding(group.finding), np.uint8)
        return found

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take what `arrays` returned, or did when it did not tell yet what was merged."""
        self._honest_keys = set(arrays["honest"].tolist())
        if "merged" in arrays:
            self._merged = dict.fromkeys(unpack_names(arrays["merged"]))
        columns = (arrays[name].tolist() for name in ("ids", "raised", "numbers"))
        for number, (name, raised_by, numbers) in enumerate(zip(*columns, strict=True)):
            keys = set(arrays[f"keys{number}"].tolist())
            finding = arrays.get(f"finding{number}")
            self._known[name] = Suspect(
                id=name,
                core=arrays[f"core{number}"],
                raised_by=raised_by,
                keys=keys,
                habits=arrays[f"habits{number}"],
                chosen_at=(int(numbers[4]), int(numbers[5]), int(numbers[6])),
                among=int(numbers[0]),
                touched_at=numbers[1],
                confidence=numbers[2],
                finding=None if finding is None else read_finding(finding.tobytes()),
                confirmed=bool(numbers[3]),
            )
            self._owner_of_key.update(dict.fromkeys(keys, name))

    def _let_go(self) -> None:
        if len(self._known) > _SUSPECTS_MOST:
            idle = sorted((group for group in self if group.finding is None), key=lambda group: group.touched_at)
            for group in idle[: len(self._known) - _SUSPECTS_MOST]:
                self.drop(group)


def as_keys(keys: Collection[int]) -> Keys:
    """Return prints as an array, in the order in which they are there."""
    return np.fromiter(keys, np.uint64, len(keys))


def _sorted(keys: set[int]) -> Keys:
    return np.sort(as_keys(keys))


def _swallows(hits: int, group: Suspect) -> bool:
    """Tell whether a suspicion has most of a group that is nobody's finding yet: then the group was its beginning."""
    return group.finding is None and 4 * hits >= 3 * len(group.core)


def _named(key: int, members: Numbers, name: Callable[[int], str]) -> str:
    """Return an id that is the same wherever the same suspicion comes up first, and never that of another."""
    names = [] if key else sorted(map(name, members.tolist()))
    seed = key.to_bytes(8, "big") + json.dumps(names).encode()
    return "c-" + hashlib.blake2b(seed, digest_size=5).hexdigest()
