"""Metrics: what is counted comes out once, added up over workers, with bounded labels."""

from __future__ import annotations

import json

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.decision import Effect, Outcome
from proxy.exchange import Usage
from proxy.steps import counting
from proxy.telemetry.exposition import render
from proxy.telemetry.metrics import METRICS, Refusal
from proxy.telemetry.snapshot import Snapshot, merge
from proxy.telemetry.tally import Tally


def values(exposition: bytes) -> dict[str, float]:
    """Return every sample of an exposition by its name and sorted labels, as `name{a=x,b=y}`."""
    found = {}
    for family in text_string_to_metric_families(exposition.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def sent(tally: Tally) -> Snapshot:
    """Return a snapshot as it comes out of the pipe between worker and parent."""
    snapshot: Snapshot = json.loads(json.dumps(tally.snapshot()))
    return snapshot


def busy() -> Tally:
    """Return a tally that has touched every metric there is."""
    tally = Tally(["large"])
    tally.exchange("openai.chat", Effect.DENY, Outcome.REFUSED, 429, 0.3)
    tally.charged("large", Usage(10, 20), 30)
    tally.refused(Refusal.TOO_SLOW)
    for name, metric in METRICS.items():
        labels = tuple(f"{label}-1" for label in metric.labels)
        if metric.type == "histogram":
            tally.observe(name, 0.02, labels)
        elif metric.type == "gauge":
            tally.put(name, 2, labels)
        else:
            tally.count(name, labels)
    return tally


def test_what_is_rendered_is_what_the_table_says() -> None:
    families = {family.name: family for family in text_string_to_metric_families(render([sent(busy())]).decode())}
    assert families.keys() == {name.removesuffix("_total") for name in METRICS}
    for name, metric in METRICS.items():
        family = families[name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.type, metric.help)
        assert family.samples
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(metric.labels)
            if metric.type != "histogram":
                assert sample.name == name


def test_metrics_without_labels_are_there_before_anything_happens() -> None:
    found = values(render([sent(Tally([]))]))
    assert found["stillgate_log_lost_total{}"] == 0
    assert found["stillgate_inflight{}"] == 0
    assert all(found[f"stillgate_refusals_total{{reason={reason}}}"] == 0 for reason in Refusal)


def test_an_exchange_is_counted_with_what_became_of_it() -> None:
    tally = Tally(["large"])
    for _ in range(3):
        tally.exchange("openai.chat", Effect.ALLOW, Outcome.ANSWERED, 200, 0.3)
    tally.charged("large", Usage(10, 20), 30)
    tally.charged("large", Usage(1, 2), 3)
    found = values(render([sent(tally)]))
    labels = "dialect=openai.chat,effect=allow,outcome=answered,status_class=2xx"
    assert found[f"stillgate_exchanges_total{{{labels}}}"] == 3
    assert found["stillgate_tokens_total{direction=input,model=large}"] == 11
    assert found["stillgate_tokens_total{direction=output,model=large}"] == 22
    assert found["stillgate_cost_microusd_total{model=large}"] == 33
    assert found["stillgate_exchange_seconds_count{}"] == 3


@pytest.mark.parametrize(
    ("status", "status_class"),
    [(0, "other"), (99, "other"), (100, "1xx"), (204, "2xx"), (302, "3xx"), (499, "4xx"), (599, "5xx"), (600, "other")],
)
def test_a_status_is_counted_by_its_class(status: int, status_class: str) -> None:
    tally = Tally([])
    tally.exchange("d", Effect.ALLOW, Outcome.ANSWERED, status, 0.1)
    assert f"status_class={status_class}" in next(
        name for name in values(render([sent(tally)])) if name.startswith("stillgate_exchanges_total{")
    )


def test_a_duration_falls_into_every_bucket_it_is_not_above() -> None:
    tally = Tally([])
    for seconds in (0.00005, 0.0009, 0.001, 0.5, 99.0):
        tally.observe("stillgate_added_seconds", seconds)
    found = values(render([sent(tally)]))
    buckets = {bound: found[f"stillgate_added_seconds_bucket{{le={bound}}}"] for bound in ("5e-05", "0.001", "1.0")}
    assert buckets == {"5e-05": 1, "0.001": 3, "1.0": 4}
    assert found["stillgate_added_seconds_bucket{le=+Inf}"] == found["stillgate_added_seconds_count{}"] == 5
    assert found["stillgate_added_seconds_sum{}"] == pytest.approx(99.50195)


def test_workers_are_added_up_and_gauges_joined_as_the_table_says() -> None:
    one, two = Tally([]), Tally([])
    for tally, amount in ((one, 1), (two, 5)):
        tally.count("stillgate_quota_denials_total", ("q", "requests", "enforce"), amount)
        tally.put("stillgate_inflight", amount)
        tally.put("stillgate_loop_lag_seconds", amount)
        tally.put("stillgate_build_info", 1, ("0.1.0",))
        tally.observe("stillgate_store_seconds", amount, ("reserve",))
    found = values(render([sent(one), sent(two)]))
    assert found["stillgate_quota_denials_total{measure=requests,mode=enforce,quota=q}"] == 6
    assert found["stillgate_inflight{}"] == 6
    assert found["stillgate_loop_lag_seconds{}"] == 5
    assert found["stillgate_build_info{version=0.1.0}"] == 1
    assert found["stillgate_store_seconds_count{operation=reserve}"] == 2
    assert found["stillgate_store_seconds_sum{operation=reserve}"] == 6


def test_what_dead_workers_counted_is_kept_and_what_they_held_is_not() -> None:
    dead = Tally([])
    dead.refused(Refusal.BAD_PATH)
    dead.observe("stillgate_added_seconds", 0.1)
    dead.put("stillgate_inflight", 7)
    base = merge([sent(dead)])
    base = merge([sent(dead)], base)
    living = Tally([])
    living.refused(Refusal.BAD_PATH)
    living.put("stillgate_inflight", 1)
    found = values(render([sent(living)], base))
    assert found["stillgate_refusals_total{reason=bad_path}"] == 3
    assert found["stillgate_added_seconds_count{}"] == 2
    assert found["stillgate_inflight{}"] == 1


def test_the_pack_that_was_in_force_before_is_forgotten() -> None:
    tally = Tally([])
    tally.put("stillgate_pack_info", 1, ("sha256:old", "default"))
    tally.forget("stillgate_pack_info")
    tally.put("stillgate_pack_info", 1, ("sha256:new", "default"))
    found = values(render([sent(tally)]))
    assert [name for name in found if name.startswith("stillgate_pack_info")] == [
        "stillgate_pack_info{digest=sha256:new,name=default}"
    ]


def test_a_million_invented_models_are_one_label() -> None:
    """D-11."""
    tally = Tally(["large"])
    process = psutil.Process()
    before = process.memory_info().rss
    for number in range(1_000_000):
        tally.charged(f"model-{number}", Usage(1, 1), 1)
    assert process.memory_info().rss - before < 5_000_000
    found = values(render([sent(tally)]))
    assert found["stillgate_tokens_total{direction=input,model=other}"] == 1_000_000


def test_any_other_label_is_bounded_as_well_and_nothing_goes_uncounted() -> None:
    """D-11."""
    tally = Tally([])
    for number in range(5_000):
        tally.count("stillgate_quota_denials_total", (f"quota-{number}", "requests", "enforce"))
        tally.observe("stillgate_store_seconds", 0.1, (f"operation-{number}",))
        tally.put("stillgate_pack_info", 1, (f"digest-{number}", "n"))
    snapshot = sent(tally)
    denials = snapshot["stillgate_quota_denials_total"]
    assert len(denials) == len(snapshot["stillgate_store_seconds"]) == len(snapshot["stillgate_pack_info"]) == 1_001
    assert sum(value for _, value, _ in denials) == 5_000
    assert values(render([snapshot]))["stillgate_quota_denials_total{measure=other,mode=other,quota=other}"] == 4_000


@pytest.mark.parametrize("value", ['"', "\\", "\n", "{}", "é", "模型", '"} 1\nfake_total 5'])
def test_a_hostile_label_stays_a_label(value: str) -> None:
    tally = Tally([value])
    tally.charged(value, Usage(1, 0), 0)
    families = text_string_to_metric_families(render([sent(tally)]).decode())
    models = {sample.labels["model"] for family in families for sample in family.samples if "model" in sample.labels}
    assert models == {value}


def test_a_metric_that_is_not_in_the_table_cannot_be_counted() -> None:
    with pytest.raises(KeyError):
        Tally([]).count("stillgate_invented_total")


def test_every_reason_for_a_refusal_is_one_that_there_can_be() -> None:
    """One that is always 0 says that what it names does not happen."""
    of_connections = {Refusal.TOO_MANY_CONNECTIONS, Refusal.TOO_SLOW, Refusal.BAD_FRAMING}
    assert {*counting._REFUSALS.values(), *of_connections} == set(Refusal)
