"""Says what each turn of the request path counts for in the metrics."""

from __future__ import annotations

from proxy.decisions.record import Ending
from proxy.errors import ProxyError
from proxy.metrics import Refusal, Tally
from proxy.rules.quotas import Denial

# By the code that the client is told; whatever else is wrong before an exchange is accepted is its framing.
_REFUSALS = {
    "missing_api_key": Refusal.NO_CREDENTIAL,
    "ambiguous_credentials": Refusal.SEVERAL_CREDENTIALS,
    "invalid_api_key": Refusal.UNKNOWN_KEY,
    "keys_unavailable": Refusal.KEYS_UNAVAILABLE,
    "not_found": Refusal.BAD_PATH,
    "method_not_allowed": Refusal.BAD_METHOD,
    "overloaded": Refusal.OVERLOADED,
    "shutting_down": Refusal.STOPPING,
}


def count_refusal(tally: Tally, error: ProxyError) -> None:
    """Count a request that was refused before it was accepted."""
    tally.refused(_REFUSALS.get(error.code, Refusal.BAD_FRAMING))


def count_denial(tally: Tally, denial: Denial) -> None:
    """Count what a quota denied, or in shadow would have denied."""
    labels = (denial.quota.id, denial.limit.measure, denial.quota.mode)
    tally.count("stillgate_quota_denials_total", labels)


def count_ending(tally: Tally, ending: Ending) -> None:
    """Count an exchange that has ended, and what it took."""
    exchange = ending.exchange
    tally.exchange(exchange.dialect, ending.verdict.effect, ending.outcome, ending.status, ending.total)
    if ending.decide is not None:
        tally.observe("stillgate_added_seconds", ending.decide)
    if ending.first_byte is not None:
        tally.observe("stillgate_upstream_first_byte_seconds", ending.first_byte)
    if exchange.call is not None and ending.usage != (0, 0):
        tally.charged(exchange.call.model, ending.usage, ending.cost_microusd)
