"""The steps of the gateway, each as a call that does it once more on the real objects of one real exchange.

Law: leases are held and keys are known by the time a step is measured, so none of them asks a store.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from bench.frames import listener, serving
from bench.load import Script
from bench.meter import BATCH, Step
from bench.stage import PACK
from bench.traffic import MODEL, PATH, answer_body, request_body, stream_events
from proxy.assembling import exchange_ids
from proxy.auth.api_key import KeyRequest
from proxy.auth.credential import one_credential
from proxy.auth.key_cache import KeyCache
from proxy.auth.key_registry import KeyRegistry
from proxy.clients.answers import AnswerWriter, Reply
from proxy.clients.framing import check_body_headers, check_framing
from proxy.clients.peer import client_address
from proxy.clock import SystemClock
from proxy.config import load_settings
from proxy.deciding.course import Course, Terms, close
from proxy.deciding.decider import Decider
from proxy.deciding.deciders import Deciders
from proxy.decision import Effect, Outcome
from proxy.decisions.chain import Chain, Head
from proxy.decisions.ending import Ending
from proxy.decisions.epochs import KEY_BYTES
from proxy.decisions.journal import Journal
from proxy.decisions.pseudonyms import Pseudonyms
from proxy.decisions.record import Recorder
from proxy.decisions.sealing import seal_of
from proxy.decisions.target import FileTarget
from proxy.dialects import dialects
from proxy.exchange import Exchange, Principal
from proxy.hunter.event import Event
from proxy.hunter.wire import encode
from proxy.hunting.telling import event_of
from proxy.keyed.link_names import LinkNames
from proxy.patterns.sets import load_pattern_sets
from proxy.rules.pack_file.loading import load_pack
from proxy.rules.quotas.reservation import Amounts, Reservation
from proxy.secrets import Master
from proxy.steps.intake import understand
from proxy.steps.limit_headers import LimitHeaders
from proxy.store.mark import ensure_mark
from proxy.store.memory import MemoryStore
from proxy.telemetry.tally import Tally

_KEY = b"k" * KEY_BYTES
_CALLERS = 20  # so many that none meets the limits of the default pack
_WARM_UP = 200
_RESERVED, _USED = Amounts.of(500, 512, 6370), Amounts.of(431, 62, 1698)


class Steps(NamedTuple):
    """The steps of an exchange with a plain answer, and those of one with a streamed answer."""

    plain: dict[str, Step]
    streamed: dict[str, Step]


@asynccontextmanager
async def gateway_steps() -> AsyncIterator[Steps]:
    """Yield the steps; what they work on lives as long as the context."""
    clock = SystemClock()
    store = MemoryStore(clock)
    await ensure_mark(store, secrets.token_bytes)
    secret = (await KeyRegistry(store, _KEY, clock, secrets.token_bytes).create(KeyRequest("a", "t"))).secret
    keys = KeyCache(store, _KEY, clock, stale_max_s=600)
    settings = load_settings(
        None, {"models": {MODEL: {}}, "upstreams": {"default": {"url": "http://127.0.0.1"}}, "pack": PACK}
    )
    patterns = load_pattern_sets(PACK.parent / "patterns")
    deciders = Deciders(settings, load_pack(PACK), store, clock, Master(_KEY), patterns)
    await deciders.begin(None)
    decider = deciders.put_to_work(deciders.compile(load_pack(PACK)))
    async with AsyncExitStack() as stack:
        request = await stack.enter_async_context(_arrived(secret))
        for work in (keys.follow(), *deciders.work()):
            await stack.enter_async_context(_owned(work))
        with tempfile.TemporaryDirectory() as folder:
            recorder = Recorder("0", Pseudonyms("2026-01", _KEY), clock)
            path = Path(folder) / "decisions.jsonl"
            quiet = settings.decision_log.model_copy(update={"checkpoints_to_stdout": False})
            log_settings = settings.model_copy(update={"data": Path(folder), "decision_log": quiet})
            binding = seal_of(log_settings, path, "bench", clock)
            journal = Journal.open(FileTarget(path), binding, recorder, clock, "0" * 64)
            every = _taking_in(request, keys, secret) | await _settling(request, decider, journal, recorder)
            yield Steps(every | _plain_answer(request), every | _streamed_answer())
            await journal.close()


def _taking_in(request: web.BaseRequest, keys: KeyCache, secret: str) -> dict[str, Step]:
    dialect, body = dialects()[PATH], request_body(stream=False)
    call = dialect.read(body)

    def framing() -> None:
        check_framing(request, frozenset())
        check_body_headers(request)

    async def key() -> None:
        one_credential(request.headers)
        await keys.authenticate(secret)

    return {
        "framing and body headers": framing,
        "exchange id": exchange_ids(random.Random(secrets.token_bytes(32)).getrandbits),  # noqa: S311 - as the proxy
        "key: digest and look-up": key,
        "request: strict read": lambda: dialect.read(body),
        "request: write": lambda: dialect.write(call),
    }


async def _settling(
    request: web.BaseRequest, decider: Decider, journal: Journal, recorder: Recorder
) -> dict[str, Step]:
    clock, quotas, tally = SystemClock(), decider.quotas, Tally([MODEL])
    callers = [Principal(f"key_{n}", f"a{n}", f"t{n}", "default", 0.0, {}) for n in range(_CALLERS)]
    turn = itertools.cycle(callers)

    async def reserve() -> Reservation:
        held = await quotas.reserve(next(turn), MODEL, _RESERVED)
        assert isinstance(held, Reservation)
        return held

    async def reserve_and_settle() -> None:
        quotas.settle(await reserve(), _USED)

    def begin() -> Course:
        address = client_address(request.headers, "127.0.0.1", 0)
        agent = request.headers.get("User-Agent", "")
        exchange = Exchange("ex_0", "openai.chat", address, agent, "", clock.wall(), callers[0])
        return Course(exchange, decider, request.task, clock.monotonic())

    for _ in range(_WARM_UP):  # until leases have the size that they have in the midst of work
        await reserve_and_settle()
    course = begin()
    understand(dialects()[PATH], request_body(stream=False), course.exchange, decider)
    course.terms, course.upstream = Terms(16_384, 2_500_000, 10_000_000), "default"
    course.sent = course.head = course.decided = clock.monotonic()
    course.status, course.outcome = 200, Outcome.ANSWERED
    course.reserved, course.reservation = _RESERVED, await reserve()
    ending = close(course, clock.monotonic())
    assert ending is not None

    def end() -> None:
        course.closed = False  # the reservation stays settled: that is counted elsewhere
        close(course, clock.monotonic())

    def count() -> None:
        tally.exchange("openai.chat", Effect.ALLOW, Outcome.ANSWERED, 200, 0.001)
        tally.observe("stillgate_added_seconds", 0.0001)
        tally.observe("stillgate_upstream_first_byte_seconds", 0.0005)
        tally.charged(MODEL, ending.usage, ending.cost_microusd)

    unprinted = [course.exchange] * BATCH
    calls = itertools.count(1)

    def take_prints() -> None:
        if next(calls) % BATCH == 0:  # a few prompts at a time, as after their answers
            decider.print_each(unprinted)

    exchange, limits, dialect = course.exchange, LimitHeaders(clock), dialects()[PATH]
    plan = course.reservation.plan
    return {
        "facts: detectors": lambda: decider.inspect(exchange),
        "prints: several prompts together, each": take_prints,
        "rules: signals, conditions, flags": lambda: decider.engine.judge(exchange, exchange.started),
        "quotas: reserve and settle": reserve_and_settle,
        "answer: headers of limits": lambda: limits.lines(dialect, plan, _RESERVED),
        "exchange: begin": begin,
        "exchange: end": end,
        "metrics": count,
    } | _telling(ending, journal, recorder)


def _telling(ending: Ending, journal: Journal, recorder: Recorder) -> dict[str, Step]:
    names, told = LinkNames(_KEY), list[Event]()
    chain = Chain(Head.begun(journal.log.writer))

    def tell_hunter() -> None:
        told.append(event_of(ending, names))
        if len(told) == BATCH:  # the hunter is told of several at once
            encode(told, 0.0)
            told.clear()

    return {
        "hunter: event, told with others": tell_hunter,
        "record: queue": lambda: journal.record(ending),
        "record: make and link (in the writer's thread)": lambda: chain.link(recorder.exchange(ending)),
    }


def _plain_answer(request: web.BaseRequest) -> dict[str, Step]:
    dialect, answers, body = dialects()[PATH], AnswerWriter(SystemClock()), answer_body()
    call = dialect.read(request_body(stream=False))

    def read() -> None:
        decoder = dialect.decoder(call, streamed=False)
        decoder.feed(body)
        b"".join([dialect.encode(chunk, streamed=False) for chunk in decoder.finish()])

    return {
        "answer: read": read,
        "answer: head and body": lambda: answers.whole(request, 200, "application/json", body, {"x-request-id": "ex"}),
    }


def _streamed_answer() -> dict[str, Step]:
    dialect = dialects()[PATH]
    call = dialect.read(request_body(stream=True))
    events = stream_events(usage=True)
    chunks = [chunk for event in events for chunk in dialect.decoder(call, streamed=True).feed(event)]

    def decode() -> None:
        decoder = dialect.decoder(call, streamed=True)
        for event in events:
            decoder.feed(event)

    return {
        "stream: decode 64 chunks": decode,
        "stream: encode 64 chunks": lambda: [dialect.encode(chunk, streamed=True) for chunk in chunks],
    }


@asynccontextmanager
async def _arrived(secret: str) -> AsyncIterator[web.BaseRequest]:
    """Let a request come in through the product's listener, and hold its answer back meanwhile."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[web.BaseRequest] = loop.create_future()
    measured = asyncio.Event()
    answers = AnswerWriter(SystemClock())

    async def handle(request: web.BaseRequest) -> Reply:
        arrived.set_result(request)
        await measured.wait()
        return answers.whole(request, 200, "application/json", b"{}", {})

    async with serving(listener(handle)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(next(Script.of([secret], stream=False).requests))
        try:
            yield await arrived
        finally:
            measured.set()
            await reader.readuntil(b"{}")
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def _owned(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
