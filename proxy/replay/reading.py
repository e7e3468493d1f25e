"""Reads lines of traffic: strictly, once, with detectors and fingerprints; several processes do it at once.

Laws: a line that cannot be read is a value, never an exception; a detector runs only if somebody wants its fields.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from proxy.clients.peer import plain_address
from proxy.clock import VirtualClock
from proxy.decisions.columns import SCHEMA
from proxy.decisions.logged import read_logged
from proxy.detectors import build
from proxy.detectors.content import Content
from proxy.dialects import dialects, strict_json
from proxy.dialects.base import Dialect
from proxy.errors import ProxyError
from proxy.exchange import Call, Exchange, Principal, Usage
from proxy.fields import Value
from proxy.fingerprint.grams import Hashes
from proxy.fingerprint.lengths import LETTERS_USUAL
from proxy.fingerprint.winnow import Fingerprinter
from proxy.keyed.link_names import attribute_name
from proxy.patterns.sets import load_pattern_sets
from proxy.replay.seen import Batch, Caller, Line, Other, Request, Seen, Unreadable
from proxy.steps.intake import read_bytes
from proxy.store.memory import MemoryStore

_SHORT_CHARS: Final = 256
# Members that may be a short text of a prompt.
_TEXTS: Final = frozenset({"input", "instructions", "prompt", "suffix", "system"})
_LISTS: Final = frozenset({"include"})  # members that are lists, but not of texts
_LATEST: Final = 253_402_300_800.0  # the year 10000
_OF_LATE: Final = 10_000  # addresses, and callers, that are remembered
_COUNT_MOST: Final = 10**9  # tokens; the same as for answers that are served
_EXPECTED: Final = "each line must be an object, an exchange or a record of a decision log"
_NO_PRINTS: Final = np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True)
class Wants:
    """What a reading process has to know; small, since each gets a copy.

    `fields` are those that the pack or the hunter reads; `released` is Unix seconds by model; `allow` names members of
    requests to accept besides those that a dialect knows. Without a `prints_key` there are no prints.
    """

    fields: frozenset[str]
    patterns: Path | None
    released: Mapping[str, float]
    allow: frozenset[str]
    seals_key: bytes = field(repr=False)
    prints_key: bytes | None = field(repr=False)
    max_letters: int = LETTERS_USUAL


class _Wrong(ValueError):
    """What is wrong with a line, in words."""


class Reader:
    """Reads blocks of lines. Raises ConfigurationError for patterns that cannot be used."""

    def __init__(self, wants: Wants) -> None:
        self._dialects = dialects(wants.allow)
        patterns = wants.patterns if any(field.name in wants.fields for field in Content.fields) else None
        content = Content(() if patterns is None else load_pattern_sets(patterns))
        made = build(MemoryStore(VirtualClock()), wants.seals_key, wants.released, (), content=content)
        self._detectors = [each for each in made if any(field.name in wants.fields for field in each.fields)]
        self._wanted = wants.fields
        self._address = lru_cache(_OF_LATE)(plain_address)
        self._principal = lru_cache(_OF_LATE)(principal_of)
        self._fingerprinter = Fingerprinter(wants.prints_key) if wants.prints_key is not None else None
        self._max_letters = wants.max_letters

    def read(self, block: bytes) -> Batch:
        """Return what the lines of a block hold."""
        lines: list[Line] = []
        asked: dict[int, Exchange] = {}  # by their line's place in the block
        for place, raw in enumerate(block[:-1].split(b"\n")):
            line, exchange = self._line(raw)
            lines.append(line)
            if exchange is not None:
                asked[place] = exchange
        self._inspect(asked, lines)
        if self._fingerprinter is None:
            return Batch(lines, None, [], {}, [])
        samples, every = [_NO_PRINTS] * len(lines), dict[int, Hashes]()
        single = [(0, 0)] * len(lines)
        made = self._fingerprinter.of_each([exchange.texts for exchange in asked.values()], self._max_letters)
        for place, prints in zip(asked, made, strict=True):
            samples[place] = prints.sample
            single[place] = prints.question, prints.whole
            if prints.every is not prints.sample:
                every[place] = prints.every
        return Batch(lines, np.concatenate(samples), list(accumulate(map(len, samples))), every, single)

    def _line(self, raw: bytes) -> tuple[Line, Exchange | None]:
        try:
            row = strict_json.read(raw)
            if "kind" in row and row.get("v") == SCHEMA:
                return (read_logged(row) if row["kind"] == "exchange" else Other()), None
            return self._exchange(row, raw)
        except (ProxyError, ValueError) as wrong:
            return Unreadable(_no_object(raw) or str(wrong)), None

    def _exchange(self, row: dict[str, Any], raw: bytes) -> tuple[Seen, Exchange | None]:
        at = _number(row, "ts", "ts")
        caller = _caller(_object(row, "principal"))
        told = _text(row, "peer", "peer")
        peer = self._address(told) or told
        headers = _object(row, "headers", {})
        agent = headers.get("user-agent") or headers.get("User-Agent") or ""
        if type(agent) is not str:
            raise _Wrong("headers.user-agent: should be a text")
        body = _object(row, "body")
        status, usage = _answer(_object(row, "response", {}))
        request, exchange, refused, name = None, None, "", ""
        dialect = self._dialects.get(_text(row, "path", "path"))
        if dialect is None or row.get("method", "POST") != "POST":
            refused = "there is no such endpoint"
        else:
            name = dialect.name
            try:
                request, exchange = self._look(dialect, body, at, caller, peer, agent)
            except ProxyError as error:
                refused = error.message
        return Seen(at, zlib.crc32(raw), caller, peer, agent, name, request, refused, status, usage), exchange

    def _look(
        self, dialect: Dialect, body: dict[str, Any], at: float, caller: Caller, peer: str, agent: str
    ) -> tuple[Request, Exchange]:
        """Return the request and its exchange, which share their fields; `_inspect` fills these in."""
        call = dialect.call(body)
        texts = list(dialect.texts(call))
        size = read_bytes(call, len(orjson.dumps(body)), texts)
        exchange = Exchange("", dialect.name, peer, agent, "", at, self._principal(caller), call, texts)
        return Request(_without_texts(call), size, exchange.fields, exchange.unknown), exchange

    def _inspect(self, asked: Mapping[int, Exchange], lines: list[Line]) -> None:
        """Fill in the fields of requests, and note those that a detector failed to tell.

        Each detector runs over all requests before the next: in turns, each would find its data out of the CPU's cache.
        """
        wanted = self._wanted
        told: list[dict[str, Value]] = [{} for _ in asked]
        for detector in self._detectors:
            for found, exchange in zip(told, asked.values(), strict=True):
                try:
                    found.update(detector.inspect(exchange))
                except Exception:  # noqa: BLE001 - a plug-in may be anybody's
                    exchange.unknown = exchange.unknown.union(field.name for field in detector.fields)
        for found, (place, exchange) in zip(told, asked.items(), strict=True):
            exchange.fields.update({name: value for name, value in found.items() if name in wanted})
            line = lines[place]
            if exchange.unknown and isinstance(line, Seen) and line.request is not None:
                lines[place] = line._replace(request=line.request._replace(unknown=exchange.unknown))


def principal_of(caller: Caller) -> Principal:
    """Return a caller as the engine knows it."""
    return Principal(caller.key_id, caller.account, caller.tenant, caller.plan, caller.opened, dict(caller.attributes))


def _caller(principal: dict[str, Any]) -> Caller:
    key_id, account, tenant = (_text(principal, name, f"principal.{name}") for name in ("key_id", "account", "tenant"))
    if not account:
        raise _Wrong("principal.account: should not be empty")
    plan, opened, links = "", 0.0, []
    attributes = _object(principal, "attributes", {}, "principal.")
    for name, value in attributes.items():
        if name == "created_at":
            opened = _number(attributes, name, "principal.attributes.created_at")
        elif type(value) is not str:
            if value is not None:
                raise _Wrong(f"principal.attributes.{name[:_SHORT_CHARS]}: should be a text")
        elif name == "plan":
            plan = value
        else:
            try:
                links.append((attribute_name(name), value))
            except ValueError as error:
                raise _Wrong(f"principal.attributes: {error}") from None
    return Caller(key_id, account, tenant, plan, opened, tuple(links))


def _answer(response: dict[str, Any]) -> tuple[int, Usage]:
    status = _count(response, "status", 200, "response.")
    usage = _object(response, "usage", {}, "response.")
    asked = "prompt_tokens" if "prompt_tokens" in usage else "input_tokens"
    given = "completion_tokens" if "completion_tokens" in usage else "output_tokens"
    details = _object(usage, f"{given}_details", {}, "response.usage.")
    within = f"response.usage.{given}_details."
    thought = max(_count(details, name, 0, within) for name in ("reasoning_tokens", "thinking_tokens"))
    output = _count(usage, given, 0, "response.usage.")
    return status, Usage(_count(usage, asked, 0, "response.usage."), output, min(thought, output))


def _object(row: dict[str, Any], name: str, default: dict[str, Any] | None = None, within: str = "") -> dict[str, Any]:
    value = row.get(name)
    if type(value) is dict:
        return value
    if value is None and default is not None:
        return default
    raise _Wrong(f"{within}{name}: should be an object")


def _text(row: dict[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if type(value) is not str:
        raise _Wrong(f"{where}: should be a text")
    return value


def _no_object(raw: bytes) -> str:
    """Return what is wrong with a line that holds no JSON object; empty if it holds one."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as wrong:
        return f"is not JSON from column {wrong.colno} on; {_EXPECTED}"
    return "" if isinstance(found, dict) else f"is not an object; {_EXPECTED}"


def _number(row: dict[str, Any], name: str, where: str) -> float:
    value = row.get(name)
    if (type(value) is float or type(value) is int) and 0 <= value < _LATEST:
        return float(value)
    raise _Wrong(f"{where}: should be a number of seconds")


def _count(row: dict[str, Any], name: str, default: int, within: str) -> int:
    value = row.get(name)
    if value is None:
        return default
    if type(value) is not int or not 0 <= value <= _COUNT_MOST:
        raise _Wrong(f"{within}{name}: should be a whole number, up to a billion")
    return value


def _without_texts(call: Call) -> Call:
    """Return a call with only what actions change, and at most one of its ids: one that no other upstream knows."""
    body = {
        name: value for name, value in call.body.items() if name in _LISTS or (name not in _TEXTS and _is_short(value))
    }
    kept = next(((each,) for each in call.kept if each.instead is ...), ())
    made = call.with_body(body)
    made.instruct = None if call.instruct is None else _instructed
    made.kept, made.gives = kept, None
    return made


def _instructed(body: dict[str, Any], text: str) -> dict[str, Any]:
    """Return a copy of a body, as if with one more instruction: like all texts, it is left out."""
    del text
    return {**body}


def _is_short(value: object) -> bool:
    return type(value) is not list and (type(value) is not str or len(value) <= _SHORT_CHARS)
