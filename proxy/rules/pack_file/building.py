"""Builds the engine's values from a pack's file, once nothing is wrong with it."""

from __future__ import annotations

from proxy.actions import REFUSING
from proxy.rules.conditions.condition import AllOf
from proxy.rules.pack.definitions import signal_digest
from proxy.rules.pack.pack import (
    Campaign,
    ClientMessage,
    Contain,
    Exemption,
    FlagSpec,
    Limit,
    Pack,
    Quota,
    Rule,
    Rung,
    Signal,
)
from proxy.rules.pack.units import units
from proxy.rules.pack_file.reading import Parts
from proxy.rules.pack_file.rule_schema import (
    CampaignEntry,
    ExemptionEntry,
    FlagEntry,
    RuleEntry,
    RungEntry,
    SignalEntry,
)
from proxy.rules.pack_file.schema import Defaults, PackFile, QuotaEntry

_EVERY = AllOf(())


def build(entry: PackFile, parts: Parts, digest: str) -> Pack:
    """Return the pack; the parts are those of the same document, and complete."""
    meta, defaults = entry.metadata, entry.defaults
    ladder = [_rung(rung, parts, number) for number, rung in enumerate(entry.ladder)]
    return Pack(
        name=meta.name,
        version=meta.version,
        owner=meta.owner,
        digest=digest,
        quotas=tuple(_quota(quota, defaults) for quota in entry.quotas),
        signals=tuple(_signal(name, signal, parts) for name, signal in entry.signals.items()),
        rules=tuple(_rule(rule, defaults, parts, number) for number, rule in enumerate(entry.rules)),
        campaigns=tuple(_campaign(campaign, defaults) for campaign in entry.campaigns),
        ladder=tuple(sorted(ladder, key=lambda rung: rung.score)),
        exemptions=tuple(_exemption(exemption, parts, number) for number, exemption in enumerate(entry.exemptions)),
        max_letters=entry.fingerprints.max_letters,
    )


def _quota(entry: QuotaEntry, defaults: Defaults) -> Quota:
    limits = tuple(
        Limit(limit.measure, units(limit.max, limit.measure), limit.window, limit.exact) for limit in entry.limits
    )
    client = ClientMessage(entry.client.status, entry.client.code, entry.client.message)
    return Quota(entry.id, entry.per, entry.mode or defaults.mode, limits, client, entry.disclose == "header")


def _signal(name: str, entry: SignalEntry, parts: Parts) -> Signal:
    path = ("signals", name)
    distinct, where = parts.distinct[path], parts.conditions.get(path, _EVERY)
    digest = signal_digest(distinct, entry.per, entry.window, where)
    return Signal(name, distinct, entry.per, entry.window, where, digest)


def _flag(entry: FlagEntry) -> FlagSpec:
    return FlagSpec(entry.name, entry.on, entry.score, entry.ttl)


def _rule(entry: RuleEntry, defaults: Defaults, parts: Parts, number: int) -> Rule:
    return Rule(
        id=entry.id,
        severity=entry.severity,
        mode=entry.mode or defaults.mode,
        when=parts.conditions["rules", number],
        flag=_flag(entry.flag),
        reason=entry.reason or entry.id.replace("-", " ").replace("_", " "),
        on_error=entry.on_error or defaults.on_error,
        expires=entry.expires,
    )


def _campaign(entry: CampaignEntry, defaults: Defaults) -> Campaign:
    contain = Contain(entry.contain.opened_within, entry.contain.sharing) if entry.contain else None
    return Campaign(
        id=entry.id,
        mode=entry.mode or defaults.mode,
        min_accounts=entry.min_accounts,
        min_tenants=entry.min_tenants,
        window_ms=entry.window,
        min_confidence=entry.min_confidence,
        flag=_flag(entry.flag),
        contain=contain,
    )


def _rung(entry: RungEntry, parts: Parts, number: int) -> Rung:
    actions = parts.actions["ladder", number]
    client = None
    for action in actions:
        if isinstance(action, REFUSING) and entry.client and client is None:
            client = ClientMessage(action.status, entry.client.code, entry.client.message)
    return Rung(entry.rung, entry.score, actions, entry.disclose == "header", entry.approval, client)


def _exemption(entry: ExemptionEntry, parts: Parts, number: int) -> Exemption:
    match = parts.conditions["exemptions", number]
    return Exemption(entry.id, match, entry.rules, entry.max_rung, entry.why, entry.owner, entry.expires)
