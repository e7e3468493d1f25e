"""A pack as the engine uses it: frozen values, checked as a whole or not there at all."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.actions.base import ActionKind
from proxy.fingerprint.lengths import LETTERS_USUAL
from proxy.rules.conditions.condition import Condition
from proxy.rules.pack.words import Approval, Measure, Mode, OnError, Scope, Severity, Subject


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `max` units in any `window_ms`; units are micro-dollars for cost, and concurrency has the window 0."""

    measure: Measure
    max: int
    window_ms: int
    exact: bool


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """What a refused client is told; with `code` None the gateway picks the one that fits the window."""

    status: int
    code: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits that hold together, for each key, account, tenant, model or for all.

    `disclose` says whether a caller may be told of what is left of his own.
    """

    id: str
    per: Scope
    mode: Mode
    limits: tuple[Limit, ...]
    client: ClientMessage
    disclose: bool = True


@dataclass(frozen=True, slots=True)
class Signal:
    """A sliding count of the exchanges that meet `where`: of them, or of distinct values of the field `distinct`.

    `digest` names the definition: a counter goes on as long as it stays the same, whatever the signal's name.
    """

    name: str
    distinct: str  # a field's name; empty to count exchanges
    per: Scope
    window_ms: int
    where: Condition
    digest: str


@dataclass(frozen=True, slots=True)
class FlagSpec:
    """The mark that a rule or a campaign leaves."""

    name: str
    on: tuple[Subject, ...]
    score: int
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition, and the flag that it raises; `reason` is a sentence with fields and signals in braces.

    `expires` is Unix seconds, from when on the rule is off; None: never.
    """

    id: str
    severity: Severity
    mode: Mode
    when: Condition
    flag: FlagSpec
    reason: str
    on_error: OnError
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class Contain:
    """Whom a flag on a template reaches beyond the members: who opened about as they did, or shares such a link."""

    opened_within_ms: int
    sharing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Campaign:
    """What the hunter must see before it reports, and what a report does."""

    id: str
    mode: Mode
    min_accounts: int
    min_tenants: int
    window_ms: int
    min_confidence: float
    flag: FlagSpec
    contain: Contain | None


@dataclass(frozen=True, slots=True)
class Rung:
    """One threshold of the ladder and what it does; `do` are the actions, as their kinds read them."""

    name: str
    score: int
    do: tuple[ActionKind, ...]
    disclose: bool
    approval: Approval
    client: ClientMessage | None


@dataclass(frozen=True, slots=True)
class Exemption:
    """Callers for whom some rules raise nothing, or no rung above `max_rung` is taken (None: no cap).

    `expires` is Unix seconds, from when on it means nothing.
    """

    id: str
    match: Condition
    rules: tuple[str, ...]
    max_rung: str | None
    why: str
    owner: str
    expires: float


@dataclass(frozen=True, slots=True)
class Pack:
    """One policy file; `digest` is the SHA-256 of its bytes in hex and names what was in force.

    The ladder is in the order of its scores. Of prompts of more than `max_letters` not all is fingerprinted.
    """

    name: str
    version: str
    owner: str
    digest: str
    quotas: tuple[Quota, ...]
    signals: tuple[Signal, ...] = ()
    rules: tuple[Rule, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    ladder: tuple[Rung, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
    max_letters: int = LETTERS_USUAL


def hunts(pack: Pack, max_mode: Mode) -> bool:
    """Tell whether there are campaigns to look for."""
    return max_mode is not Mode.OFF and any(campaign.mode is not Mode.OFF for campaign in pack.campaigns)
