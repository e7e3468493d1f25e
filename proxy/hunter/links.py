"""What accounts have in common besides text: payment and other attributes, addresses and their networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.accounts import WISHES, Names
from proxy.hunter.archive import pack_names, unpack_names
from proxy.hunter.columns import Columns
from proxy.hunter.event import Event
from proxy.hunter.grouped import Grouped
from proxy.hunter.ids import Ids, Numbers, joined

PEER, PREFIX = "peer", "peer_prefix"
# Names of addresses, traits and families of evidence: an attribute of the same name must be told apart from them.
_TAKEN = frozenset({PEER, PREFIX, "text", "age", "opened", "client", "volume", "rhythm", "output", "payload", *WISHES})
_BESIDE = " (attribute)"
# Of one account, addresses with their networks, and as many of everything else: an account that connects from ever new
# addresses is known by the first sixteen of them, and by whatever it pays with later.
_LINKS_OF_ACCOUNT = 32
_ADDRESSES, _OTHER = (1 << 16) - 1, 1 << 16  # a count has those of addresses in its lower half
# The most pairs, at about 220 bytes each if hardly anything is shared; of more, this part is kept.
LINKS_MOST = 2_500_000
_KEPT_PART = 0.8


_CameWith: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]  # an address, and attributes


def kind_of(attribute: str) -> str:
    """Return the kind of links that an attribute makes: its name, changed if something else has the same name."""
    return attribute + _BESIDE if attribute in _TAKEN else attribute


def name_of(kind: str) -> str:
    """Return what packs call a kind: an attribute's own name, but "peer" and "peer_prefix" are addresses there."""
    attribute = kind.removesuffix(_BESIDE)
    return kind if attribute in (PEER, PREFIX) else attribute


class Links:
    """Pairs of a token (a kind and a value) and an account that has it."""

    def __init__(self) -> None:
        self.pairs = Columns({"token": np.int32, "account": np.int32, "kind": np.int32})
        self._pair_ids = Ids()
        self._by_account = Grouped()
        self._tokens = Names()
        self._kinds = Names(("", PEER, PREFIX))
        self._latest: dict[int, _CameWith] = {}  # what an account's last exchange came with
        self._counts: dict[int, int] = {}  # account -> how many tokens, of either sort

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds seen, addresses first."""
        return tuple(self._kinds.known[1:])

    def named(self, token: int) -> tuple[str, str]:
        """Return the kind of a token, and its value."""
        kind, _, value = self._tokens.known[token].partition("\0")
        return kind, value

    def value(self, token: int) -> str:
        """Return the value of a token."""
        return self.named(token)[1]

    def see(self, events: Sequence[Event], accounts: Numbers) -> None:
        """Note what exchanges came with; `accounts` are the numbers of theirs."""
        tokens: list[int] = []
        owners: list[int] = []
        kinds: list[int] = []
        for event, account in zip(events, accounts.tolist(), strict=True):
            came_with, latest = (event.peer, event.links), self._latest.get(account)
            if came_with == latest:
                continue
            self._latest[account] = came_with
            for kind, value in self._new(event, account, latest):
                if value:
                    tokens.append(self._tokens.number(f"{kind}\0{value}"))
                    owners.append(account)
                    kinds.append(self._kinds.number(kind))
        if tokens:
            self._add(np.array(tokens, np.int32), np.array(owners, np.int32), np.array(kinds, np.int32))

    def of_kind(self, kind: str) -> tuple[Numbers, Numbers]:
        """Return the pairs of one kind, as tokens and accounts."""
        chosen = self.pairs["kind"] == (self._kinds.find(kind) or -1)
        return self.pairs["token"][chosen], self.pairs["account"][chosen]

    def held_by(self, accounts: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
        """Return the pairs of these accounts (a mask by number), as tokens and accounts."""
        rows = self._by_account.rows_of(self.pairs["account"], accounts)
        return self.pairs["token"][rows], self.pairs["account"][rows]

    def holding(self, tokens: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
        """Return the pairs of these tokens, as tokens and accounts."""
        wanted = np.zeros(len(self._tokens.known), np.bool_)
        wanted[tokens] = True
        rows = np.flatnonzero(wanted[self.pairs["token"]])
        return self.pairs["token"][rows], self.pairs["account"][rows]

    def keep(self, accounts: Numbers) -> None:
        """Forget accounts that are gone; `accounts` has the new number of every account, -1 for those.

        Of more than there may be, those go that tell least: first what one account alone has and is not its last of the
        kind, then what one alone has, the oldest first.
        """
        self.pairs["account"][:] = accounts[self.pairs["account"]]
        self.pairs.keep(self.pairs["account"] >= 0)
        if len(self.pairs) > LINKS_MOST:
            self.pairs.keep(self._telling(int(_KEPT_PART * LINKS_MOST)))
        used = np.unique(self.pairs["token"])
        renumbered = np.zeros(len(self._tokens.known), np.int32)
        renumbered[used] = np.arange(1, len(used) + 1)
        self.pairs["token"][:] = renumbered[self.pairs["token"]]
        self._tokens = Names(["", *(self._tokens.known[token] for token in used.tolist())])
        self._index()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything, for a checkpoint."""
        names = {"tokens": self._tokens, "kinds": self._kinds}
        return {**self.pairs.arrays(), **{key: pack_names(value.known) for key, value in names.items()}}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take what `arrays` returned, also in older versions, where attributes kept names that others have."""
        self.pairs.restore({name: arrays[name] for name in self.pairs.arrays()})
        self._kinds = Names([_told_apart(kind) for kind in unpack_names(arrays["kinds"])])
        parted = (token.partition("\0") for token in unpack_names(arrays["tokens"]))
        self._tokens = Names([f"{_told_apart(kind)}{between}{value}" for kind, between, value in parted])
        self._index()

    def _new(self, event: Event, account: int, latest: _CameWith | None) -> list[tuple[str, str]]:
        """Return the kinds and values that an exchange adds to what the account's `latest` one came with."""
        count, found = self._counts.get(account, 0), list[tuple[str, str]]()
        if (latest is None or event.peer != latest[0]) and count & _ADDRESSES < _LINKS_OF_ACCOUNT:
            found += [(PEER, event.peer), (PREFIX, event.prefix)]
        if (latest is None or event.links != latest[1]) and count // _OTHER < _LINKS_OF_ACCOUNT:
            found += [(kind_of(attribute), value) for attribute, value in event.links]
        return found

    def _add(self, tokens: Numbers, accounts: Numbers, kinds: Numbers) -> None:
        numbers = self._pair_ids.number(joined(tokens, accounts))
        _, first = np.unique(numbers, return_index=True)
        new = first[numbers[first] >= len(self.pairs)]
        new = new[np.argsort(numbers[new])]
        self.pairs.add(len(new), token=tokens[new], account=accounts[new], kind=kinds[new])
        for account, one in zip(accounts[new].tolist(), _counted(kinds[new]).tolist(), strict=True):
            self._counts[account] = self._counts.get(account, 0) + one

    def _telling(self, most: int) -> NDArray[np.intp]:
        """Return the places of the `most` pairs that tell most, in their order."""
        tokens, owners = self.pairs["token"], joined(self.pairs["account"], self.pairs["kind"])
        count = len(tokens)
        tell = np.where(np.bincount(tokens)[tokens] > 1, 2, 0)
        _, last = np.unique(owners[::-1], return_index=True)
        tell[count - 1 - last] += 1
        return np.sort(np.lexsort((np.arange(count), tell))[-most:])

    def _index(self) -> None:
        self._by_account.forget()
        self._pair_ids = Ids()
        self._pair_ids.number_all(joined(self.pairs["token"], self.pairs["account"]))
        self._latest = {}
        owners, place = np.unique(self.pairs["account"], return_inverse=True)
        counts = np.bincount(place, _counted(self.pairs["kind"]), len(owners)).astype(np.int64)
        self._counts = dict(zip(owners.tolist(), counts.tolist(), strict=True))


def _counted(kinds: Numbers) -> NDArray[np.int64]:
    """Return what a token of each of these kinds adds to a count; addresses and networks are the first two."""
    return np.where(kinds <= 2, np.int64(1), np.int64(_OTHER))


def _told_apart(kind: str) -> str:
    return kind if kind in (PEER, PREFIX) else kind_of(kind)
