"""What the hunter is told of exchanges, and that nobody waits for it or remembers more than there is room for."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proxy.clock import VirtualClock
from proxy.decision import Effect, Outcome, Verdict
from proxy.decisions.ending import Ending
from proxy.errors import StoreUnavailable
from proxy.exchange import Call, Exchange, Principal, Usage
from proxy.hunter.event import Asked, Event
from proxy.hunter.wire import decode
from proxy.hunting import telling
from proxy.hunting.telling import EVENTS_STREAM, Teller, event_of
from proxy.keyed.link_names import LinkNames
from proxy.rules.pack.pack import Campaign, FlagSpec, Pack, hunts
from proxy.rules.pack.words import Mode, Subject
from proxy.store.memory import MemoryStore

NAMES = LinkNames(b"k" * 32)
ALLOWED = Verdict(Effect.ALLOW)
SECRET = "tell me how you think"


@dataclass
class Prints:
    """What a fingerprinted exchange has."""

    sample: NDArray[np.uint64]
    question: int


@dataclass(slots=True)
class Fingerprinted(Exchange):
    prints: Prints | None = None


def pack(*modes: Mode) -> Pack:
    flag = FlagSpec("campaign", (Subject.CLUSTER,), 80, 1000)
    campaigns = tuple(Campaign(f"c{n}", mode, 10, 8, 1000, 0.9, flag, None) for n, mode in enumerate(modes))
    return Pack("p", "1", "o", "0" * 64, (), campaigns=campaigns)


def exchange(account: str = "acme-1", **changes: Any) -> Fingerprinted:
    made = Fingerprinted(
        id="ex_1",
        dialect="openai.chat",
        peer="198.51.100.7",
        user_agent="python/3.11",
        client_request_id="",
        started=1000.0,
        principal=Principal("key_1", account, "acme", "pro", 500.0, {"payment": "card-1", "phone": ""}),
        call=Call("large", False, {"messages": [{"role": "user", "content": SECRET}]}),
        fields={
            "request.turns": 3,
            "request.logprobs": True,
            "content.trace_elicitation": 0.9,
            "content.rubric_grading": 0.1,
            "content.synthetic_generation": 0.2,
            "content.refusal_rewrite": 0.3,
            "content.identity_claim": "other",
            "request.obfuscation": 0.4,
        },
        prints=Prints(np.array([1, 2], np.uint64), 7),
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def ended(told: Exchange | None = None, **changes: Any) -> Ending:
    ending = Ending(told or exchange(), ALLOWED, Outcome.ANSWERED, 200, "d", "p", 1.0, usage=Usage(100, 20))
    return ending._replace(**changes)


class Cuttable(MemoryStore):
    """The reference store with a line that can be cut, before or after what is sent arrives."""

    away = False
    deaf = False
    asked = 0
    appended = 0

    async def append(self, stream: str, data: bytes, keep_bytes: int, op: str) -> None:
        self.asked += 1
        if not self.away:
            self.appended += 1
            await super().append(stream, data, keep_bytes, op)
        if self.away or self.deaf:
            raise StoreUnavailable("cut")

    async def events(self) -> list[Event]:
        batches = [decode(entry) for entry in (await self.follow(EVENTS_STREAM, "", 1000)).entries]
        assert all(batch.malformed == 0 for batch in batches)
        return [event for batch in batches for event in batch.events]


@pytest.fixture
def store() -> Cuttable:
    return Cuttable(VirtualClock())


def teller_of(store: Cuttable) -> Teller:
    numbers = itertools.count()
    made = Teller(store, NAMES, VirtualClock(), lambda: f"op-{next(numbers)}", 1 << 30, Mode.ENFORCE)
    made.adopt(pack(Mode.SHADOW))
    return made


@asynccontextmanager
async def running(teller: Teller) -> AsyncIterator[None]:
    task = asyncio.create_task(teller.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_an_event_has_the_fields_and_prints_and_names_in_place_of_what_links() -> None:
    event = event_of(ended(), NAMES)
    peer, prefix = NAMES.peer("198.51.100.7")
    assert (event.peer, event.prefix, event.agent) == (peer, prefix, NAMES.name("agent", "python"))
    assert event.links == (("payment", NAMES.name("payment", "card-1")),)
    assert event.asked == Asked("large", 3, True, 0.9, 0.1, 0.2, 0.3, "other", 0.4)
    assert (event.at, event.account, event.tenant, event.opened) == (1000.0, "acme-1", "acme", 500.0)
    assert (event.dialect, event.input_tokens, event.output_tokens) == ("openai.chat", 100, 20)
    assert (event.effect, event.delivered, event.prints.tolist(), event.question) == ("allow", True, [1, 2], 7)
    assert not {"198.51.100.7", "python", "card-1", SECRET} & set(map(str, event))


@pytest.mark.parametrize(
    ("changes", "delivered"),
    [
        ({}, True),
        ({"usage": Usage(100, 0)}, True),
        ({"outcome": Outcome.CLIENT_LEFT}, True),
        ({"outcome": Outcome.CLIENT_LEFT, "usage": Usage(100, 0)}, False),
        ({"outcome": Outcome.UPSTREAM_TRUNCATED}, True),
        ({"outcome": Outcome.CLIENT_LEFT, "status": 499}, False),
        ({"outcome": Outcome.REFUSED, "status": 429, "usage": Usage(0, 0)}, False),
    ],
    ids=str,
)
def test_what_came_of_an_answer_counts_as_delivered(changes: dict[str, Any], *, delivered: bool) -> None:
    assert event_of(ended(**changes), NAMES).delivered is delivered


@pytest.mark.parametrize(("actions", "told"), [((), 12), (("drop", "clamp"), 12), (("drop", "withhold"), 0)])
def test_reasoning_that_was_withheld_was_given_to_nobody(actions: tuple[str, ...], told: int) -> None:
    ending = ended(usage=Usage(100, 20, 12), verdict=replace(ALLOWED, effect=Effect.DEGRADE, actions=actions))
    event = event_of(ending, NAMES)
    assert (event.output_tokens, event.reasoning_tokens) == (20, told)


@pytest.mark.parametrize(
    ("effect", "actions", "whole"),
    [
        (Effect.ALLOW, (), True),
        (Effect.DEGRADE, ("drop", "withhold", "mark", "pace"), True),
        (Effect.DEGRADE, ("withhold", "clamp"), False),
        (Effect.DEGRADE, ("reroute",), False),
        (Effect.DEGRADE, ("drop", "of-a-plug-in"), False),
        (Effect.DENY, ("reject",), False),
    ],
)
def test_only_what_shortens_an_answer_hides_how_long_it_would_be(
    effect: Effect, actions: tuple[str, ...], *, whole: bool
) -> None:
    verdict = replace(ALLOWED, effect=effect, actions=actions)
    assert event_of(ended(verdict=verdict), NAMES).whole is whole


def test_a_prompt_that_nobody_fingerprinted_or_inspected_is_told_without() -> None:
    event = event_of(ended(exchange(prints=None, fields={}, peer="")), NAMES)
    assert (len(event.prints), event.question, event.asked, event.peer) == (0, 0, Asked("large"), "")


@pytest.mark.parametrize(
    ("modes", "max_mode", "wanted"),
    [
        ((), Mode.ENFORCE, False),
        ((Mode.OFF,), Mode.ENFORCE, False),
        ((Mode.OFF, Mode.SHADOW), Mode.ENFORCE, True),
        ((Mode.ENFORCE,), Mode.SHADOW, True),
        ((Mode.ENFORCE,), Mode.OFF, False),
    ],
)
def test_campaigns_are_looked_for_if_one_is_not_off(modes: tuple[Mode, ...], max_mode: Mode, *, wanted: bool) -> None:
    assert hunts(pack(*modes), max_mode) is wanted


async def test_without_campaigns_nothing_is_told(store: Cuttable) -> None:
    teller = teller_of(store)
    teller.adopt(pack(Mode.OFF))
    teller.tell(ended())
    teller.adopt(pack(Mode.ENFORCE))
    teller.tell(ended(exchange(call=None)))
    teller.tell(ended(exchange("acme-2")))
    await teller.flush()
    assert [event.account for event in await store.events()] == ["acme-2"]


async def test_what_is_told_arrives_in_order_in_batches(store: Cuttable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_BATCH_EVENTS", 4)
    teller = teller_of(store)
    for number in range(10):
        teller.tell(ended(exchange(f"a{number}")))
    await teller.flush()
    assert [event.account for event in await store.events()] == [f"a{number}" for number in range(10)]
    assert (store.appended, teller.numbers()["stillgate_events_told_total"]) == (3, 10)


async def test_batches_of_many_prints_are_smaller(store: Cuttable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_BATCH_PRINTS", 4)
    teller = teller_of(store)
    for _ in range(6):
        teller.tell(ended())
    await teller.flush()
    assert store.appended == 3


async def test_a_full_batch_is_sent_at_once_and_the_rest_within_a_turn(
    store: Cuttable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "_BATCH_EVENTS", 4)
    monkeypatch.setattr(telling, "_TURN_S", 60.0)
    teller = teller_of(store)
    async with running(teller), asyncio.timeout(5):
        for _ in range(4):
            teller.tell(ended())
        while teller.told < 4:
            await asyncio.sleep(0)
    monkeypatch.setattr(telling, "_TURN_S", 0.01)
    async with running(teller), asyncio.timeout(5):
        teller.tell(ended())
        while teller.told < 5:
            await asyncio.sleep(0.001)


async def test_while_the_store_is_away_the_queue_is_bounded_and_what_is_dropped_is_counted(
    store: Cuttable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "_QUEUE_MAX", 5)
    monkeypatch.setattr(telling, "_TURN_S", 0.01)
    store.away = True
    teller = teller_of(store)
    async with running(teller), asyncio.timeout(5):
        for number in range(8):
            teller.tell(ended(exchange(f"a{number}")))
        while store.asked < 2:
            await asyncio.sleep(0.001)
        assert teller.numbers() == {"stillgate_events_told_total": 0, "stillgate_events_dropped_total": 3}
        store.away = False
        while teller.told < 5:
            await asyncio.sleep(0.001)
    assert [event.account for event in await store.events()] == [f"a{number}" for number in range(5)]


async def test_a_batch_whose_reply_was_lost_counts_once(store: Cuttable) -> None:
    teller = teller_of(store)
    teller.tell(ended())
    store.deaf = True
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await teller.flush()
    store.deaf = False
    teller.tell(ended(exchange("acme-2")))
    await teller.close()
    assert [event.account for event in await store.events()] == ["acme-1", "acme-2"]
    assert (teller.told, teller.dropped) == (2, 0)
