"""The interface of the hunter's pure core, as the process around it uses it, and where the core is found."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from proxy.hunter.event import Event
from proxy.hunter.finding import Finding
from proxy.hunter.hunt import Hunt
from proxy.hunter.terms import Terms
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode


class Core(Protocol):
    """The hunter's memory. One thread at a time; `judge` and `to_bytes` may take seconds."""

    def see(self, events: Sequence[Event]) -> None:
        """Take note of exchanges, in any order within an hour."""
        ...

    def judge(self, now: float) -> list[Finding]:
        """Return the findings that are new or have changed since the last call."""
        ...

    def dismiss(self, finding_id: str) -> None:
        """Learn that a finding was honest traffic: it never comes back by itself. Raises KeyError."""
        ...

    def excuse(self, finding: Finding) -> None:
        """Learn that a finding was honest traffic which is not known here, or no longer."""
        ...

    def confirm(self, finding_id: str) -> None:
        """Learn that a finding was right. Raises KeyError."""
        ...

    def adopt(self, terms: Sequence[Terms]) -> None:
        """Judge by another pack from now on."""
        ...

    @property
    def held(self) -> int:
        """How many exchanges are kept to be looked at."""
        ...

    @property
    def findings(self) -> Mapping[str, Finding]:
        """Every finding as it stands, by id; one whose accounts are long gone may be forgotten."""
        ...

    @property
    def merged(self) -> Collection[str]:
        """The ids of findings that were merged into another one."""
        ...

    def to_bytes(self) -> bytes:
        """Return the state in the form that the class's `from_bytes` reads."""
        ...


class Kind(Protocol):
    """The class of a core."""

    def __call__(self, terms: Sequence[Terms]) -> Core:
        """Return a core that has seen nothing."""
        ...

    def from_bytes(self, data: bytes, terms: Sequence[Terms]) -> Core:
        """Return a core that goes on from a state of `to_bytes`. Raises ValueError for anything else."""
        ...


def hunt() -> Kind:
    """Return the class of the real core."""
    return Hunt


def terms_of(pack: Pack, max_mode: Mode) -> tuple[Terms, ...]:
    """Return what this pack has the hunter look for."""
    if max_mode is Mode.OFF:
        return ()
    return tuple(
        Terms(
            entry.id,
            entry.min_accounts,
            entry.min_tenants,
            entry.window_ms / 1000,
            entry.min_confidence,
            entry.flag.ttl_ms / 1000,
        )
        for entry in pack.campaigns
        if entry.mode is not Mode.OFF
    )
