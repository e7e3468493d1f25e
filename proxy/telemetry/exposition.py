"""Renders all workers' numbers for Prometheus; the only file that imports its client, which no worker has to load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from proxy.telemetry.metrics import METRICS, Metric
from proxy.telemetry.snapshot import Sample, Snapshot, merge

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(snapshots: Sequence[Snapshot], base: Snapshot | None = None) -> bytes:
    """Return the text exposition of all workers' numbers together."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(merge(snapshots, base)))
    return generate_latest(registry)


class _Merged(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Family]:
        for name, metric in METRICS.items():
            yield _family(metric, self._snapshot[name])


def _family(metric: Metric, samples: list[Sample]) -> Family:
    if metric.type == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, total, buckets in samples:
            histogram.add_metric(labels, _cumulative(metric.bounds, buckets), total)
        return histogram
    make = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = make(metric.name, metric.help, labels=metric.labels)
    for labels, value, _ in samples:
        family.add_metric(labels, value)
    return family


def _cumulative(bounds: tuple[float, ...], buckets: tuple[float, ...]) -> list[tuple[str, float]]:
    total = 0.0
    pairs: list[tuple[str, float]] = []
    for bound, amount in zip([*map(str, bounds), "+Inf"], buckets, strict=True):
        total += amount
        pairs.append((bound, total))
    return pairs
