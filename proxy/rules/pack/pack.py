"""A pack as the engine uses it: frozen values, made only after the whole file was checked."""

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
    """Limits that hold together, for each key, account, tenant, model or whatever `per` says, or for all.

    `disclose` says whether callers may be told how much is left of their own limits.
    """

    id: str
    per: Scope
    mode: Mode
    limits: tuple[Limit, ...]
    client: ClientMessage
    disclose: bool = True


@dataclass(frozen=True, slots=True)
class Signal:
    """A sliding count of the exchanges that meet `where`, or of the distinct values of the field `distinct` in them.

    `digest` names the definition: the counter goes on while it stays the same, even if the signal is renamed.
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

    The rule is off from `expires` on, in Unix seconds; None: never.
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
    """Whom a template's flag reaches besides members: accounts opened around the same time, or with a common link."""

    opened_within_ms: int
    sharing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Campaign:
    """What the hunter must see before it reports a campaign, and what a report does."""

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
    """One threshold of the ladder and what it does; `do` are its actions, already read by their kinds."""

    name: str
    score: int
    do: tuple[ActionKind, ...]
    disclose: bool
    approval: Approval
    client: ClientMessage | None


@dataclass(frozen=True, slots=True)
class Exemption:
    """Callers for whom some rules raise nothing, or no rung above `max_rung` is taken (None: no cap).

    It has no effect from `expires` on, in Unix seconds.
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

    The ladder is in the order of its scores. A prompt of more than `max_letters` is fingerprinted only in part.
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
    """Tell whether a pack has the hunter look for campaigns."""
    return max_mode is not Mode.OFF and any(campaign.mode is not Mode.OFF for campaign in pack.campaigns)
