"""What an exchange or a connection leaves behind is freed at once: none of it refers to itself.

Collections of garbage are short, so that a cycle that one finds alive is freed by none before memory is full.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import types
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from proxy.clock import SystemClock
from proxy.store import open_store
from tests.end_to_end.soaking import FAILURES
from tests.rig.fault_proxy import BlackHole, Fault, FaultProxy, LostReply, Refuse, ResetAfter
from tests.rig.in_process import Served, served
from tests.rig.process import GENEROUS_PACK
from tests.rig.raw_client import BrokenError, RawClient, post
from tests.rig.scripted_upstream import Close, Pause, Script
from tests.rig.speech import CHAT, MESSAGES, Speech
from tests.rig.valkey import Valkey

TIMES = 3
# Less than a model that fails pauses.
IMPATIENT = {"upstreams": {"default": {"connect_seconds": 0.1, "first_byte_seconds": 0.1, "idle_seconds": 0.2}}}
SCARCE = {
    **GENEROUS_PACK,
    "quotas": [{"id": "few", "per": "key", "limits": [{"measure": "requests", "max": 1, "window": "1h"}]}],
}


@pytest.fixture(autouse=True)
def nothing_runs_on() -> None:
    """Wait for the threads in which earlier tests of this process send their last spans: their garbage is not ours."""
    for thread in threading.enumerate():
        if thread.name == "last-spans":
            thread.join()


@contextmanager
def nothing_left(by: str) -> Iterator[None]:
    """Require that within the context no object of the product becomes garbage that only a collection finds."""
    gc.collect()
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = Counter(_named(found) for found in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    ours = {name: count for name, count in left.items() if name.startswith("proxy.")}
    assert not ours, by


def _named(found: object) -> str:
    """Return the type, and of a frame or a function where it is from."""
    match found:
        case types.FrameType():
            return f"{found.f_globals.get('__name__')}: frame of {found.f_code.co_qualname}"
        case types.FunctionType():
            return f"{found.__module__}: {found.__qualname__}"
    return f"{type(found).__module__}.{type(found).__qualname__}"


@asynccontextmanager
async def proxy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, pack: dict[str, Any], settings: dict[str, Any] | None = None
) -> AsyncIterator[tuple[Served, FaultProxy]]:
    with Valkey(folder / "valkey") as valkey:
        async with FaultProxy(valkey.url) as between:
            store = await open_store(between.url, clock=SystemClock())
            async with served(folder, store, pack, SystemClock(), monkeypatch, settings) as gate:
                yield gate, between


async def at_rest(gate: Served) -> None:
    """Return when nobody is connected and nothing runs; what was ended a moment ago has let go then."""
    async with asyncio.timeout(20):
        while len(gate.serving._gateway) or len(gate.serving._listener):
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.05)


async def ask(gate: Served, speech: Speech = CHAT, key: str = "", **members: Any) -> int:
    """Ask on a connection of one's own; return the status, or 0 if none came."""
    request = {**speech.ask("hello"), "model": "m-large", **members}
    with suppress(BrokenError, ConnectionError):
        async with await RawClient.connect(gate.port) as client:
            return (await client.ask(post(speech.path, request, speech.headers(key or gate.key)))).status
    return 0


async def leave(gate: Served, *, after_head: bool, reset: bool, script: Script | None = None) -> None:
    if script is not None:
        gate.upstream.script(script)
    client = await RawClient.connect(gate.port)
    request = {**CHAT.ask("hello"), "model": "m-large", "stream": True}
    await client.send(post(CHAT.path, request, CHAT.headers(gate.key)))
    if after_head:
        await client.head()
    else:
        await asyncio.sleep(0.02)
    client.reset() if reset else client.close()


Act = Callable[[Served], Coroutine[Any, Any, Any]]
ACTS: dict[str, Act] = {
    "an answer": ask,
    "a stream": lambda gate: ask(gate, stream=True),
    "a message": lambda gate: ask(gate, MESSAGES),
    "a malformed request": lambda gate: ask(gate, messages="hello"),
    "a model that is not there": lambda gate: ask(gate, model="m-none"),
    "a key that is wrong": lambda gate: ask(gate, key="sgk_" + "0" * 33),
    "a body that is too large": lambda gate: ask(gate, user="x" * 30_000_000),
    "a client that leaves before the head": lambda gate: leave(
        gate, after_head=False, reset=True, script=(Pause(5.0), Close())
    ),
    "a client that leaves in the stream": lambda gate: leave(gate, after_head=True, reset=True),
    "a client that closes": lambda gate: leave(gate, after_head=True, reset=False),
}


async def test_exchanges_leave_nothing_to_collect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy(tmp_path, monkeypatch, GENEROUS_PACK) as (gate, _):
        for name, act in ACTS.items():
            await act(gate)  # what is made once stays
            await at_rest(gate)
            with nothing_left(name):
                for _ in range(TIMES):
                    await act(gate)
                await at_rest(gate)


async def test_denials_leave_nothing_to_collect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy(tmp_path, monkeypatch, SCARCE) as (gate, _):
        assert [await ask(gate) for _ in range(2)] == [200, 429]
        await at_rest(gate)
        with nothing_left("a denial"):
            assert [await ask(gate) for _ in range(TIMES)] == [429] * TIMES
            await at_rest(gate)


async def test_a_model_that_fails_leaves_nothing_to_collect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = set()
    async with proxy(tmp_path, monkeypatch, GENEROUS_PACK, IMPATIENT) as (gate, _):
        for number, script in enumerate(FAILURES):
            gate.upstream.script(script)
            statuses.add(await ask(gate))
            await at_rest(gate)
            with nothing_left(f"failure {number}"):
                for stream in (False, True):
                    gate.upstream.script(script)
                    await ask(gate, stream=stream)
                await at_rest(gate)
    assert {502, 504} <= statuses


FAULTS: dict[str, Fault] = {
    "refused": Refuse(),
    "black hole": BlackHole(),
    "replies lost": LostReply(),
    "cut": ResetAfter(200),
}


async def test_a_store_that_is_away_leaves_nothing_to_collect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again and again: what each time leaves behind grows as long as it is away."""
    async with proxy(tmp_path, monkeypatch, GENEROUS_PACK) as (gate, between):

        async def outage(fault: Fault) -> None:
            between.fault = fault
            statuses = {await ask(gate) for _ in range(8)}
            await asyncio.sleep(0.7)  # for its probes
            between.fault = None
            async with asyncio.timeout(10):
                while await ask(gate) != 200:
                    await asyncio.sleep(0.05)
            assert statuses <= {200, 503}

        await outage(Refuse())
        for name, fault in FAULTS.items():
            await at_rest(gate)
            with nothing_left(name):
                await outage(fault)
                await at_rest(gate)
