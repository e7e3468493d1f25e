"""Counts in the metrics what happens at each stage of the request path."""

from __future__ import annotations

from proxy.deciding.decider import Decision
from proxy.decisions.ending import Ending
from proxy.errors import ProxyError
from proxy.rules.pack.words import Mode
from proxy.telemetry.metrics import Refusal
from proxy.telemetry.tally import Tally

# By the code that the client is told; whatever else is wrong before an exchange is accepted is its framing.
_REFUSALS = {
    "missing_api_key": Refusal.NO_CREDENTIAL,
    "ambiguous_credentials": Refusal.SEVERAL_CREDENTIALS,
    "invalid_api_key": Refusal.UNKNOWN_KEY,
    "invalid_token": Refusal.BAD_TOKEN,
    "issuer_unavailable": Refusal.ISSUER_UNAVAILABLE,
    "keys_unavailable": Refusal.KEYS_UNAVAILABLE,
    "misdirected_request": Refusal.BAD_HOST,
    "not_found": Refusal.BAD_PATH,
    "method_not_allowed": Refusal.BAD_METHOD,
    "overloaded": Refusal.OVERLOADED,
    "shutting_down": Refusal.STOPPING,
}


def count_refusal(tally: Tally, error: ProxyError) -> None:
    """Count a request that was refused before it was accepted."""
    tally.refused(_REFUSALS.get(error.code, Refusal.BAD_FRAMING))


def count_decision(tally: Tally, decision: Decision) -> None:
    """Count what quotas denied or in shadow would have denied, and what rules and the ladder did."""
    denials = decision.shadow_denials if decision.denial is None else (decision.denial, *decision.shadow_denials)
    for denial in denials:
        labels = (denial.quota.id, denial.limit.measure, denial.quota.mode)
        tally.count("stillgate_quota_denials_total", labels)
    judgement = decision.judgement
    for rule in judgement.fired:
        tally.count("stillgate_rules_fired_total", (rule, Mode.ENFORCE))
    for rule in judgement.shadow_fired:
        if rule not in judgement.fired:
            tally.count("stillgate_rules_fired_total", (rule, Mode.SHADOW))
    for rule in judgement.failed:
        tally.count("stillgate_rule_failures_total", (rule,))
    if judgement.enforced.rung:
        tally.count("stillgate_rungs_total", (judgement.enforced.rung,))


def count_ending(tally: Tally, ending: Ending) -> None:
    """Count an exchange that has ended, and what it took."""
    exchange = ending.exchange
    tally.exchange(exchange.dialect, ending.verdict.effect, ending.outcome, ending.status, ending.total)
    if ending.decide is not None:
        tally.observe("stillgate_added_seconds", ending.decide)
    if ending.first_byte is not None:
        tally.observe("stillgate_upstream_first_byte_seconds", ending.first_byte)
    if exchange.call is not None and (ending.usage.input or ending.usage.output):
        tally.charged(ending.model_used or exchange.call.model, ending.usage, ending.cost_microusd)
