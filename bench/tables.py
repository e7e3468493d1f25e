"""The figures for people: tables on a terminal, plain columns in a pipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench.degraded import DEGRADED, LEFT_ALONE
from bench.rounds import BARE, OURS
from bench.traffic import CHUNKS

_WIDTH_IN_A_PIPE = 100
_FULL_SHARE = 0.9


def show(console: Console, results: dict[str, Any]) -> None:
    """Print everything."""
    lines = box.SIMPLE_HEAD if console.is_terminal else None
    if not console.is_terminal:
        console.width = _WIDTH_IN_A_PIPE
    for table in _tables(results):
        table.box = lines
        console.print(table)
        console.print()
    console.print(_memory(results), highlight=False)
    if any(results[kind]["core_share"]["bare"] < _FULL_SHARE for kind in ("json", "stream")):
        console.print("The bare proxy had not all of its core: believe CPU µs, not what was served in a second.")


def _tables(results: dict[str, Any]) -> Iterable[Table]:
    yield _throughput("JSON, 16 clients", "exchanges per second", "exchange", results["json"])
    yield _throughput("Streams of 64 chunks, 16 clients", "chunks per second", "stream", results["stream"])
    yield _degraded(results["degraded"])
    yield _throughput("JSON, 16 clients, every key after a rest", "exchanges per second", "exchange", results["cold"])
    yield _latency(results["latency"])
    yield _crowd(results["crowd"])
    yield _waterfall("Where the added microseconds of a JSON exchange go", results["waterfall"]["json"])
    yield _waterfall("Where the added microseconds of a stream go", results["waterfall"]["stream"])
    yield _rules(results["rules"])
    yield _prints(results["prints"])
    yield _hunt(results["hunt"])


def _rules(found: dict[str, float]) -> Table:
    table = _table("Rules", "", "takes")
    table.add_row("100 declarative rules, an exchange", f"{found['declarative_100_us']:,.1f} µs")
    table.add_row("20 expressions, an exchange", f"{found['cel_20_us']:,.1f} µs")
    table.add_row("a prompt that is none of 1,000 templates", f"{found['templates_1000_us']:,.1f} µs")
    table.add_row("a prompt that is one of 1,000 templates", f"{found['templates_1000_match_us']:,.1f} µs")
    table.add_row("loading 1,000 rules", f"{found['load_1000_s']:,.2f} s")
    return table


def _prints(found: dict[str, float]) -> Table:
    table = _table("Prints of a prompt", "", "takes")
    for name, microseconds in found.items():
        table.add_row(name, f"{microseconds:,.1f} µs")
    return table


def _hunt(found: dict[str, float]) -> Table:
    table = _table("The hunt, 300,000 exchanges of 10,000 accounts", "", "takes")
    table.add_row("events taken in a second", f"{found['events_per_second']:,.0f}")
    table.add_row("the longest judging", f"{found['judge_s']:,.2f} s")
    table.add_row("memory at most", f"{found['rss_mb']:,.0f} MB")
    table.add_row("a checkpoint", f"{found['checkpoint_mb']:,.0f} MB in {found['checkpoint_s']:,.2f} s")
    return table


def _throughput(title: str, unit: str, exchange: str, found: dict[str, Any]) -> Table:
    table = _table(title, "", "bare", "ours", "ours / bare")
    ours, bare = found["per_second"]["ours"], found["per_second"]["bare"]
    table.add_row(unit, f"{bare:,.0f}", f"{ours:,.0f}", f"{found['ratio']:.1%}")
    ours, bare = found["cpu_us"]["ours"], found["cpu_us"]["bare"]
    table.add_row(f"CPU µs per {exchange}", f"{bare:,.0f}", f"{ours:,.0f}", f"{found['cpu_ratio']:.1%} as fast")
    ours, bare = found["core_share"]["ours"], found["core_share"]["bare"]
    table.add_row("share of its core", f"{bare:.0%}", f"{ours:.0%}", "")
    ours, bare = found["reads"]["ours"], found["reads"]["bare"]
    table.add_row(f"reads per {exchange}", f"{bare:.1f}", f"{ours:.1f}", "")
    return table


def _degraded(found: dict[str, Any]) -> Table:
    rate, cpu_us = found["per_second"], found["cpu_us"]
    table = _table(f"Streams of {CHUNKS} chunks with `drop` and `mark` at work", "", "left alone", "degraded", "of it")
    table.add_row(
        "chunks per second", *(f"{rate[kind]:,.0f}" for kind in (LEFT_ALONE, DEGRADED)), f"{found['ratio']:.1%}"
    )
    as_fast = f"{found['cpu_ratio']:.1%} as fast"
    table.add_row("CPU µs per stream", *(f"{cpu_us[kind]:,.0f}" for kind in (LEFT_ALONE, DEGRADED)), as_fast)
    return table


def _latency(found: dict[str, Any]) -> Table:
    table = _table("Latency of JSON in µs, one client", "", "bare", "ours", "added")
    for name, label in (("p50_us", "p50"), ("p99_us", "p99")):
        table.add_row(label, *(f"{found[column][name]:,.0f}" for column in ("bare", "ours", "added")))
    return table


def _crowd(found: dict[str, Any]) -> Table:
    table = _table(
        f"{found['streams']} streams at once, a chunk every 20 ms: from one piece to the next", "", BARE, OURS
    )
    for name, label in (("gap_p50_ms", "p50"), ("gap_p99_ms", "p99"), ("gap_max_ms", "longest")):
        table.add_row(label, *(f"{found[proxy][name]:,.0f} ms" for proxy in (BARE, OURS)))
    table.add_row("over 100 ms", *(f"{found[p]['stalls']:,} of {found[p]['gaps']:,}" for p in (BARE, OURS)))
    table.add_row("streams per second", *(f"{found[proxy]['per_second']:,.0f}" for proxy in (BARE, OURS)))
    table.add_row("share of its core", *(f"{found[proxy]['core_share']:.0%}" for proxy in (BARE, OURS)))
    return table


def _waterfall(title: str, found: dict[str, Any]) -> Table:
    table = _table(title, "", "CPU µs")
    for name, microseconds in found["steps_us"].items():
        table.add_row(name, f"{microseconds:,.1f}")
    table.add_section()
    table.add_row("sum", f"{found['sum_us']:,.1f}")
    table.add_row("measured: ours less bare", f"{found['measured_us']:,.1f}")
    table.add_row("rest: glue, the kernel, leases asked for, colder caches than here", f"{found['rest_us']:,.1f}")
    return table


def _memory(results: dict[str, Any]) -> str:
    idle, after = results["rss_mb"], results["rss_after_load_mb"]
    bare = results["bare_rss_mb"]
    return f"Memory of the worker: {idle:.1f} MB idle, {after:.1f} MB after the load (bare: {bare:.1f} MB)"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    return table
