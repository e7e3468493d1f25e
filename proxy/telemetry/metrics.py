"""Every metric there is, and the words that label them.

Each worker counts in a `Tally`, whose `Snapshot` goes to the parent; that adds them up, and `exposition` renders them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, NamedTuple

# Seconds. What we add is tens of microseconds to milliseconds, a model takes tenths of seconds to minutes.
_OURS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_MODEL: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Metric(NamedTuple):
    """One metric: name, type, help, labels, histogram bounds in seconds, and how gauges of several workers join."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    join: Literal["sum", "max"] = "sum"


METRICS: Final = {
    metric.name: metric
    for metric in (
        Metric(
            "stillgate_exchanges_total",
            "counter",
            "Accepted exchanges that ended.",
            ("dialect", "effect", "outcome", "status_class"),
        ),
        Metric("stillgate_refusals_total", "counter", "Requests refused before they were accepted.", ("reason",)),
        Metric("stillgate_tokens_total", "counter", "Tokens charged.", ("model", "direction")),
        Metric("stillgate_cost_microusd_total", "counter", "Cost charged, in millionths of a US dollar.", ("model",)),
        Metric("stillgate_added_seconds", "histogram", "Time spent here before the upstream is called.", (), _OURS),
        Metric("stillgate_upstream_first_byte_seconds", "histogram", "Time to the upstream's first byte.", (), _MODEL),
        Metric("stillgate_exchange_seconds", "histogram", "Time from acceptance to the end.", (), _MODEL),
        Metric(
            "stillgate_upstream_rests_total",
            "counter",
            "Times a model was left alone: it kept failing, or asked for it.",
            ("model",),
        ),
        Metric("stillgate_helper_calls_total", "counter", "What came of asking helper models.", ("model", "result")),
        Metric("stillgate_helper_tokens_total", "counter", "Tokens that helper models took.", ("model", "direction")),
        Metric("stillgate_inflight", "gauge", "Exchanges that have not ended."),
        Metric("stillgate_connections", "gauge", "Open connections of clients."),
        Metric(
            "stillgate_quota_denials_total",
            "counter",
            "Exchanges that a quota denied, or in shadow would have denied.",
            ("quota", "measure", "mode"),
        ),
        Metric(
            "stillgate_local_limits_total",
            "counter",
            "Limits asked for while the store was away: granted, refused by this process's share, or closed.",
            ("measure", "result"),
        ),
        Metric("stillgate_rules_fired_total", "counter", "Exchanges for which a rule raised a flag.", ("rule", "mode")),
        Metric(
            "stillgate_rule_failures_total", "counter", "Times a rule's condition could not be evaluated.", ("rule",)
        ),
        Metric("stillgate_rungs_total", "counter", "Exchanges by the highest rung they stood on.", ("rung",)),
        Metric("stillgate_store_errors_total", "counter", "Operations that the store failed.", ("operation",)),
        Metric("stillgate_store_seconds", "histogram", "Time of one store operation.", ("operation",), _OURS),
        Metric("stillgate_store_breaker_open", "gauge", "1 while the store is away and left alone.", join="max"),
        Metric("stillgate_store_breaker_opens_total", "counter", "Times the store was found to be away."),
        Metric("stillgate_store_failovers_total", "counter", "Times another server became the store's primary."),
        Metric("stillgate_store_append_only", "gauge", "0 if the store's server keeps no append-only file."),
        Metric(
            "stillgate_clock_ahead_seconds",
            "gauge",
            "How far this machine's clock is ahead of the store's.",
            join="max",
        ),
        Metric("stillgate_store_lost", "gauge", "1 while the store has lost everything it held.", join="max"),
        Metric("stillgate_store_losses_total", "counter", "Times the store had lost everything it held."),
        Metric("stillgate_store_rewinds_total", "counter", "Times the store may have lost its last changes."),
        Metric("stillgate_samples_total", "counter", "Samples: kept, without room that day, or lost.", ("result",)),
        Metric("stillgate_log_lost_total", "counter", "Decision records that found no room in the queue."),
        Metric("stillgate_log_truncations_total", "counter", "Times the decision log was cut by somebody else."),
        Metric("stillgate_checkpoints_unkept_total", "counter", "Checkpoints that could not be kept elsewhere."),
        Metric("stillgate_log_failing", "gauge", "1 while the decision log cannot be written.", join="max"),
        Metric("stillgate_loop_lag_seconds", "gauge", "Longest stall of the loop in the last interval.", join="max"),
        Metric("stillgate_memory_share", "gauge", "How much of the nearest memory limit is used.", join="max"),
        Metric("stillgate_memory_full", "gauge", "1 while new work is turned away for want of memory.", join="max"),
        Metric("stillgate_spans_sent_total", "counter", "Spans that the collector accepted."),
        Metric(
            "stillgate_spans_lost_total", "counter", "Spans that found no room, or that the collector did not accept."
        ),
        Metric("stillgate_keys_cached", "gauge", "Keys known without asking the store."),
        Metric("stillgate_keys_age_seconds", "gauge", "How long a revoked key may have gone unnoticed.", join="max"),
        Metric("stillgate_tokens_cached", "gauge", "Tokens (JWT) that are known to be good."),
        Metric("stillgate_token_refusals_total", "counter", "Tokens refused, by reason.", ("issuer", "reason")),
        Metric("stillgate_issuer_loads_total", "counter", "Loads of an issuer's keys.", ("issuer", "result")),
        Metric(
            "stillgate_issuer_keys_age_seconds",
            "gauge",
            "How old an issuer's keys are; without any, how long they have been looked for.",
            ("issuer",),
            join="max",
        ),
        Metric("stillgate_leases", "gauge", "Slices of quotas held in the process."),
        Metric("stillgate_signal_keys", "gauge", "Accounts, tenants and others that signals count in the process."),
        Metric("stillgate_signals_dropped_total", "counter", "Counts that found no room to wait for the store."),
        Metric("stillgate_flags", "gauge", "Flags that are known, enforced and in shadow.", join="max"),
        Metric("stillgate_flags_evicted_total", "counter", "Flags let go early: there were too many."),
        Metric(
            "stillgate_snapshot_age_seconds",
            "gauge",
            "Age of the snapshot that a start without the store goes by; 0 once the store is there.",
            join="max",
        ),
        Metric(
            "stillgate_snapshot_failing",
            "gauge",
            "1 while the snapshot for a start without the store cannot be written.",
            join="max",
        ),
        Metric("stillgate_campaigns", "gauge", "Campaigns that are known.", join="max"),
        Metric("stillgate_campaigns_evicted_total", "counter", "Campaigns let go early: there were too many."),
        Metric("stillgate_events_told_total", "counter", "Exchanges reported to the hunter."),
        Metric("stillgate_events_dropped_total", "counter", "Exchanges that found no room to wait for the hunter."),
        Metric("stillgate_hunter_active", "gauge", "1 if the active hunter is here, 0 if it stands by."),
        Metric("stillgate_hunter_events_total", "counter", "Events that the hunter has seen."),
        Metric("stillgate_hunter_malformed_total", "counter", "Events and batches that the hunter could not read."),
        Metric("stillgate_hunter_gaps_total", "counter", "Times events were dropped before the hunter had read them."),
        Metric(
            "stillgate_hunter_lag_seconds", "gauge", "How old the events were that the hunter read last.", join="max"
        ),
        Metric("stillgate_hunter_judge_seconds", "histogram", "Time of one look for campaigns.", (), _MODEL),
        Metric("stillgate_hunter_checkpoint_bytes", "gauge", "Size of the hunter's state.", join="max"),
        Metric("stillgate_hunter_checkpoint_failures_total", "counter", "Times the hunter's state could not be saved."),
        Metric("stillgate_findings", "gauge", "Campaigns that the hunter knows.", ("state",), join="max"),
        Metric("stillgate_build_info", "gauge", "1, with the program's version.", ("version",), join="max"),
        Metric("stillgate_pack_info", "gauge", "1, with the pack in force.", ("digest", "name"), join="max"),
        Metric("stillgate_pack_reloads_total", "counter", "Times the pack's file was read again.", ("result",)),
        Metric("stillgate_patterns_differ", "gauge", "1 while other pattern sets lie beside the pack.", join="max"),
        Metric("stillgate_pack_reload_failed", "gauge", "1 while the pack's file is broken.", join="max"),
    )
}


class Refusal(StrEnum):
    """Why a request was refused before it was accepted."""

    NO_CREDENTIAL = "no_credential"
    SEVERAL_CREDENTIALS = "several_credentials"
    UNKNOWN_KEY = "unknown_key"
    BAD_TOKEN = "bad_token"  # noqa: S105 - a reason's name, no secret
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    KEYS_UNAVAILABLE = "keys_unavailable"
    BAD_HOST = "bad_host"
    BAD_PATH = "bad_path"
    BAD_METHOD = "bad_method"
    BAD_FRAMING = "bad_framing"
    TOO_SLOW = "too_slow"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    OVERLOADED = "overloaded"
    STOPPING = "stopping"


class Reload(StrEnum):
    """What came of reading the pack's file anew."""

    LOADED = "loaded"
    UNCHANGED = "unchanged"
    FAILED = "failed"
