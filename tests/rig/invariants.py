"""What must hold after every end-to-end test, whatever it did: the invariants I1 to I8, by their names.

Laws: a check looks at what others recorded (the upstream, the clients, the kernel), not only at what the product says
of itself; what the product does a moment later (records, closing) is given `SETTLE_S`, and no more.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import psutil

from tests.rig.decision_log import DecisionLog, assert_verifies
from tests.rig.process import CANARY, Stillgate
from tests.rig.raw_client import Response
from tests.rig.scripted_upstream import ScriptedUpstream

SETTLE_S = 3.0
LOOP_LAG_S = 0.1
SPARE_FDS = 8  # a log that was reopened, a store connection that was made anew
SPARE_RSS_BYTES = 48 * 1024 * 1024  # lazy imports, caches and arenas of a first load; a leak in a test is larger
_BLOCK = 8  # a leak of 15 characters of a secret holds a whole block of 8, wherever it was cut
_REACHED = {"answered", "upstream_error", "upstream_truncated"}
_MAYBE_REACHED = {"upstream_unreachable", "upstream_timeout", "client_left", "shutdown", "failed"}
_TELLTALE = re.compile(
    r"""Traceback|File\ "|\.py\b|\bline\ \d+|0x[0-9a-f]{6,}|127\.0\.0\.1|localhost|\.sock\b|
        /(?:home|tmp|usr|var|etc|root|opt|proc|private|Users)/""",
    re.VERBOSE,
)
_PORTS = re.compile(r":(\d+)(?=[,/]|$)")  # an address of a cluster has several
Dialect = Literal["openai", "anthropic"]


class Seen(NamedTuple):
    """One answer as a client got it. `accepted`: whether it must have a record; None if the status has to tell."""

    dialect: Dialect
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes
    accepted: bool | None

    @property
    def ids(self) -> list[str]:
        return [value for name, value in self.headers if name.lower() in {"x-request-id", "request-id"}]


@dataclass
class Witness:
    """What the clients of a test got; tests pass every answer through `saw`."""

    seen: list[Seen] = field(default_factory=list)

    def saw(self, response: Response, dialect: Dialect = "openai", *, accepted: bool | None = None) -> Response:
        """Note an answer and return it; pass `accepted` where the status does not tell whether it has a record."""
        head = response.head
        self.seen.append(Seen(dialect, head.status, head.headers, response.body, response.raw, accepted))
        return response

    def saw_bytes(self, raw: bytes) -> None:
        """Note bytes that are no whole answer: a stream that broke, what an official client printed."""
        self.seen.append(Seen("openai", 0, [], b"", raw, accepted=None))


class Footprint(NamedTuple):
    """What the workers of an installation hold: file descriptors and resident bytes."""

    fds: int
    rss: int

    @classmethod
    def of(cls, gate: Stillgate) -> Footprint:
        return cls(sum(gate.fds().values()), sum(gate.rss().values()))


async def assert_invariants(
    witness: Witness,
    upstream: ScriptedUpstream,
    *gates: Stillgate,
    before: dict[Stillgate, Footprint] | None = None,
    logs: dict[Stillgate, DecisionLog] | None = None,
) -> None:
    """Assert them all over the installations that share `upstream`; `before` holds footprints to come back to.

    The installations run. Without a footprint I5 looks at the loop's lag only. `logs` are the parts of decision logs
    that tell of what `witness` and `upstream` know, if they tell of more.
    """
    told = {gate: (logs or {}).get(gate, gate.log()) for gate in gates}

    async def books() -> None:
        records = [record for log in told.values() for record in log.records("exchange")]
        assert_upstream_calls_equal_decisions(records, upstream)
        assert_one_record_each(records, witness)
        assert_accounts_settled(records, upstream, {k: v for gate in gates for k, v in gate.settings["models"].items()})

    await _eventually(books)
    assert_errors_are_shaped(witness, [part for gate in gates for part in (str(gate.folder), upstream.url[7:])])
    await assert_logs_verify(*gates)
    for gate in gates:
        assert_reaches_nobody_else(gate)
        await assert_alive(gate)
        await assert_no_secret_left(gate, told[gate], witness, upstream)
        await assert_at_rest(gate, upstream, (before or {}).get(gate))


def assert_reaches_nobody_else(gate: Stillgate) -> None:
    """C-08, G-01: whatever clients sent, a worker is connected to whom its settings name and to its clients only."""
    named = [entry["url"] for entry in gate.settings.get("upstreams", {}).values()]
    named += [entry["jwks_url"] for entry in gate.settings.get("issuers", {}).values() if "jwks_url" in entry]
    collector = gate.settings.get("trace", {}).get("otlp_url", "")
    allowed = {int(port) for url in [*named, collector, str(gate.settings["store"])] for port in _PORTS.findall(url)}
    allowed |= gate.led_to
    for pid in gate.workers if named else ():  # without upstreams it asks its own model, wherever that listens
        with suppress(psutil.NoSuchProcess):
            reached = [one for one in psutil.Process(pid).net_connections("inet") if one.laddr.port != gate.port]
            others = [one for one in reached if getattr(one.raddr, "port", None) not in {None, *allowed}]
            assert not others, f"C-08: connected to somebody else: {others}"


def assert_upstream_calls_equal_decisions(records: list[dict[str, Any]], upstream: ScriptedUpstream) -> None:
    """I1, P1, A-08: every call upstream has its decision, and every decision that must have led to one did."""
    assert not upstream.malformed, f"I1: malformed requests went upstream: {upstream.malformed}"
    passed = [record for record in records if record["effect"] in {"allow", "degrade"}]
    outcomes = Counter(record["outcome"] for record in passed if record["outcome"] != "local")
    unknown = set(outcomes) - _REACHED - _MAYBE_REACHED
    assert not unknown, f"I1: allowed, with an outcome that cannot be: {unknown}"
    ids = [value for request in upstream.requests for value in request.head.all("x-request-id")]
    assert len(set(ids)) == len(ids) == len(upstream.requests), f"P1: calls upstream without an id of their own: {ids}"
    undecided = set(ids) - {record["id"] for record in passed}
    assert not undecided, f"P1: calls upstream that were not allowed: {undecided}"
    least, calls = sum(outcomes[outcome] for outcome in _REACHED), len(upstream.requests)
    assert least <= calls <= outcomes.total(), f"I1: {calls} calls upstream, decisions that ended so: {dict(outcomes)}"


def assert_one_record_each(records: list[dict[str, Any]], witness: Witness) -> None:
    """I2: ids are unique; an accepted exchange has its record, a refused one before acceptance has none."""
    counts = Counter(record["id"] for record in records)
    assert not [key for key, count in counts.items() if count > 1], f"I2: several records of one id: {counts}"
    for seen in witness.seen:
        assert len(seen.ids) <= 1, f"I2: an answer with several ids: {seen.headers}"
        if seen.accepted is False:
            assert not any(counts[key] for key in seen.ids), f"I2: a record of what was not accepted: {seen}"
        elif seen.accepted or 200 <= seen.status < 300:
            assert seen.ids, f"I2: an accepted exchange without an id: {seen}"
            assert counts[seen.ids[0]] == 1, f"I2: {counts[seen.ids[0]]} records of {seen}"


async def assert_no_secret_left(
    gate: Stillgate, log: DecisionLog, witness: Witness, upstream: ScriptedUpstream
) -> None:
    """I3 and P8: no canary in anything that leaves the process, nor a customer's secret in what goes upstream."""
    places = {f"answer {index}": seen.raw for index, seen in enumerate(witness.seen)}
    places |= {str(path): content for path, content in log.contents().items()}
    places |= {str(path): path.read_bytes() for path in gate.folder.glob("std*.log")}
    for path in ("/metrics", "/healthz", "/readyz"):
        places[path] = (await gate.admin("GET", path))[1]
    ours = list(_customer_secrets(gate))
    for place, content in places.items():
        for canary in (CANARY.encode(), *ours):
            assert canary not in content, f"I3: {canary!r} in {place}"
    for request in upstream.requests:
        if gate not in request.cleared:
            for canary in ours:
                assert canary not in request.raw, f"I3: {canary!r} went upstream: {request.head}"
            if request.complete:  # no key is in what went before it was made
                request.cleared.add(gate)


def assert_accounts_settled(
    records: list[dict[str, Any]], upstream: ScriptedUpstream, models: dict[str, dict[str, Any]]
) -> None:
    """I4: nothing stays reserved, nothing is negative, and no less is charged than the upstream reported."""
    claimed: Counter[tuple[int, int]] = Counter()
    for record in records:
        tokens_in, tokens_out, source = (record["usage"][name] for name in ("input", "output", "source"))
        price = models.get(record["model_used"] or record["model"], {})
        cost = tokens_in * price.get("input_usd_per_million", 0) + tokens_out * price.get("output_usd_per_million", 0)
        least = {"requests": 1, "input_tokens": tokens_in, "output_tokens": tokens_out}
        least |= {"total_tokens": tokens_in + tokens_out, "cost_usd": int(cost)}  # micro-dollars
        claimed[tokens_in, tokens_out] += source == "upstream"
        assert record["reserved"].keys() == record["settled"].keys(), f"I4: not settled: {record['id']}"
        for measure, reserved in record["reserved"].items():
            settled = record["settled"][measure]
            assert type(reserved) is type(settled) is int, f"I4: not settled: {measure} in {record['id']}"
            assert min(reserved, settled) >= 0, f"I4: negative: {measure} in {record['id']}"
            if source == "upstream":
                owed = least.get(measure, 0)
                assert settled >= owed, f"I4: {measure} is charged less than {owed} in {record['id']}"
    invented = claimed - Counter(upstream.reported)
    assert invented.total() <= upstream.scripted, f"I4: usage that the upstream never reported: {invented}"


async def assert_at_rest(gate: Stillgate, upstream: ScriptedUpstream, before: Footprint | None) -> None:
    """I5: the loop was never held up, and descriptors and memory are back; clients have closed their connections."""
    lags = await gate.metrics("stillgate_loop_lag_seconds")
    assert lags, "I5: nothing measures the loop's lag"
    assert max(lags.values()) < LOOP_LAG_S, f"I5: the loop was held up: {lags}"

    async def back() -> None:
        if before is not None:
            now = Footprint.of(gate)
            fds = before.fds + upstream.open_connections + SPARE_FDS
            assert now.fds <= fds, f"I5: {now.fds} file descriptors, at most {fds} expected"
            assert now.rss <= before.rss + SPARE_RSS_BYTES, f"I5: {now.rss} bytes resident, {before.rss} before"

    await _eventually(back)


def assert_errors_are_shaped(witness: Witness, places: Iterable[str]) -> None:
    """I6: every error parses in its dialect and gives away no place of ours, nor any of `places`."""
    for seen in witness.seen:
        errors = []
        if seen.status >= 400:
            types = [value.split(";")[0] for name, value in seen.headers if name.lower() == "content-type"]
            assert types == ["application/json"], f"I6: an error that is no JSON: {seen}"
            assert _SHAPES[seen.dialect](_parsed(seen.body)), f"I6: not the shape of {seen.dialect}: {seen}"
            errors.append(seen.body)
        errors += [data for data in re.findall(rb"^data: ?(\{.*\})\r?$", seen.body, re.MULTILINE) if b'"error"' in data]
        for error in errors:
            text = error.decode()
            hints = [place for place in places if place in text] + _TELLTALE.findall(text)
            assert not hints, f"I6: an error names {hints}: {text}"


async def assert_logs_verify(*gates: Stillgate) -> None:
    """I7: logs are what was written; a checkpoint may name lines that another file got after it was looked at."""
    kept = [gate for gate in gates if gate.settings.get("decision_log", {}).get("to") != "stdout"]
    logs = {gate.log(): gate.data / "log.key" for gate in kept}

    async def verify() -> None:
        await asyncio.to_thread(assert_verifies, logs)

    if logs:
        await _eventually(verify)


async def assert_alive(gate: Stillgate) -> None:
    """I8: the announced processes live, and health says so."""
    announced = {gate.pid, *gate.workers}
    gone = announced.difference(gate.pids(announced))
    assert not gone, f"I8: processes are gone: {gone}"
    status, body = await gate.admin("GET", "/healthz")
    assert status == 200, f"I8: health answers {status}: {body!r}"


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _openai_error(document: Any) -> bool:
    match document:
        case {
            "error": {"message": str(message), "type": str(kind), "param": str() | None, "code": str() | None} as error
        }:
            return bool(message and kind) and len(document) == 1 and len(error) == 4
    return False


def _anthropic_error(document: Any) -> bool:
    match document:
        case {"type": "error", "error": {"type": str(kind), "message": str(message)} as error, "request_id": str(key)}:
            return bool(kind and message and key) and len(document) == 3 and len(error) == 2
    return False


_SHAPES: dict[Dialect, Callable[[Any], bool]] = {"openai": _openai_error, "anthropic": _anthropic_error}


def _customer_secrets(gate: Stillgate) -> Iterable[bytes]:
    """Yield what must be nowhere: pieces of every key beyond its public prefix, and the master secret in each form."""
    for key in gate.keys:
        secret = str(key["secret"])
        public = json.dumps({name: value for name, value in key.items() if name != "secret"})
        starts = [*range(4, len(secret) - _BLOCK + 1, _BLOCK), len(secret) - _BLOCK]
        yield from (piece.encode() for at in starts if (piece := secret[at : at + _BLOCK]) not in public)
    masters = [path.read_bytes().strip() for path in gate.folder.rglob("*master*") if path.is_file()]
    assert masters, "I3: there is no file of the master secret to look for"
    for master in masters:
        yield from (master, master.hex().encode(), base64.b64encode(master))


async def _eventually(check: Callable[[], Awaitable[None]]) -> None:
    """Repeat a check until it holds; let its last complaint out after `SETTLE_S`."""
    deadline = asyncio.get_running_loop().time() + SETTLE_S
    while True:
        try:
            return await check()
        except AssertionError:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(0.02)  # other processes are waited for
