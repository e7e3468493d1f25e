"""One worker's numbers, kept simple because counting happens several times an exchange.

Laws:
- Every metric is in `METRICS`; another name is a KeyError.
- Label values are bounded: models to the names configured, everything else to `_SERIES_MAX` combinations a metric;
  later ones count as `other`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable
from typing import Final

from proxy.decision import Effect, Outcome
from proxy.exchange import Usage
from proxy.telemetry.metrics import METRICS, Refusal
from proxy.telemetry.snapshot import Sample, Snapshot

_OTHER: Final = "other"
_SERIES_MAX: Final = 1_000
_STATUS_CLASSES: Final = ("other", "1xx", "2xx", "3xx", "4xx", "5xx")


class Tally:
    """One worker's numbers; belongs to its event loop.

    `models` are the names that may be labels.
    """

    def __init__(self, models: Iterable[str]) -> None:
        self._models = frozenset(models)
        self._values: dict[str, dict[tuple[str, ...], float]] = {
            name: {} for name, metric in METRICS.items() if metric.type != "histogram"
        }
        # A histogram's series is its counts by bound, then the sum of what was observed.
        self._histograms: dict[str, tuple[tuple[float, ...], dict[tuple[str, ...], list[float]]]] = {
            name: (metric.bounds, {}) for name, metric in METRICS.items() if metric.type == "histogram"
        }
        for name, metric in METRICS.items():
            if metric.type != "histogram" and not metric.labels:
                self._values[name][()] = 0
        for reason in Refusal:
            self.count("stillgate_refusals_total", (reason.value,), 0)

    def count(self, name: str, labels: tuple[str, ...] = (), amount: float = 1) -> None:
        """Add to a counter or a gauge."""
        series = self._values[name]
        try:
            series[labels] += amount
        except KeyError:
            labels = _bounded(series, labels)
            series[labels] = series.get(labels, 0) + amount

    def put(self, name: str, value: float, labels: tuple[str, ...] = ()) -> None:
        """Set a gauge, or a counter that is kept elsewhere."""
        series = self._values[name]
        series[labels if labels in series else _bounded(series, labels)] = value

    def forget(self, name: str) -> None:
        """Drop all series of a gauge, before its labels change or where it is not known any more."""
        self._values[name].clear()

    def observe(self, name: str, seconds: float, labels: tuple[str, ...] = ()) -> None:
        """Add a duration to a histogram."""
        bounds, series = self._histograms[name]
        try:
            numbers = series[labels]
        except KeyError:
            numbers = series.setdefault(_bounded(series, labels), [0] * (len(bounds) + 2))
        numbers[bisect_left(bounds, seconds)] += 1
        numbers[-1] += seconds

    def refused(self, reason: Refusal) -> None:
        """Count a request that was refused before it was accepted."""
        self.count("stillgate_refusals_total", (reason.value,))

    def exchange(self, dialect: str, effect: Effect, outcome: Outcome, status: int, seconds: float) -> None:
        """Count an exchange that ended."""
        status_class = _STATUS_CLASSES[status // 100] if 100 <= status < 600 else _OTHER
        self.count("stillgate_exchanges_total", (dialect, effect, outcome, status_class))
        self.observe("stillgate_exchange_seconds", seconds)

    def charged(self, model: str, usage: Usage, cost_microusd: int) -> None:
        """Count what an exchange was charged."""
        label = model if model in self._models else _OTHER
        self.count("stillgate_tokens_total", (label, "input"), usage.input)
        self.count("stillgate_tokens_total", (label, "output"), usage.output)
        self.count("stillgate_cost_microusd_total", (label,), cost_microusd)

    def snapshot(self) -> Snapshot:
        """Return every number, as values that JSON can carry."""
        snapshot: Snapshot = {
            name: [Sample(labels, value) for labels, value in series.items()] for name, series in self._values.items()
        }
        for name, (_, histograms) in self._histograms.items():
            snapshot[name] = [
                Sample(labels, numbers[-1], tuple(numbers[:-1])) for labels, numbers in histograms.items()
            ]
        return snapshot


def _bounded(series: Collection[tuple[str, ...]], labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels under which a new series may begin."""
    return labels if len(series) < _SERIES_MAX else (_OTHER,) * len(labels)
