"""All numbers of one worker at one moment, and those of several as one.

Law: counters and histograms only grow, and those of a worker that died are carried on; gauges are of the living.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from proxy.telemetry.metrics import METRICS, Metric


class Sample(NamedTuple):
    """One series at one moment; `buckets` are a histogram's counts by bound, the last one above all bounds."""

    labels: tuple[str, ...]
    value: float
    buckets: tuple[float, ...] = ()


Snapshot = dict[str, list[Any]]  # metric name -> samples, as JSON arrays: it crosses from worker to parent


def merge(snapshots: Sequence[Snapshot], base: Snapshot | None = None) -> Snapshot:
    """Return the snapshots of all workers as one.

    `base` holds what workers counted that live no more, as an earlier `merge` returned it; its gauges do not count.
    """
    merged: dict[str, dict[tuple[str, ...], Sample]] = {name: {} for name in METRICS}
    for snapshot in [*([base] if base else []), *snapshots]:
        for name, metric in METRICS.items():
            if snapshot is base and metric.type == "gauge":
                continue
            series = merged[name]
            for labels, value, buckets in snapshot.get(name, ()):
                key = tuple(labels)
                series[key] = _joined(metric, series.get(key), Sample(key, value, tuple(buckets)))
    return {name: list(series.values()) for name, series in merged.items()}


def _joined(metric: Metric, old: Sample | None, new: Sample) -> Sample:
    if old is None:
        return new
    value = max(old.value, new.value) if metric.join == "max" else old.value + new.value
    return Sample(new.labels, value, tuple(map(sum, zip(old.buckets, new.buckets, strict=True))))
