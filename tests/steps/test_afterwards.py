"""Promises about what comes after an exchange: everything is told and recorded once, with its prints, and soon."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from proxy.deciding.decider import Decider
from proxy.decisions.ending import Ending
from proxy.exchange import Call, Exchange, Text
from proxy.steps.afterwards import Afterwards
from tests.deciding.test_decider import Bench
from tests.hunting.test_telling import ended, exchange

Told = tuple[str, Sequence[str] | None]


class Both:
    """A teller and a journal that note what they hear."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.recorded: list[Told] = []

    def tell(self, ending: Ending) -> None:
        self.told.append((ending.exchange.principal.account, ending.exchange.prints))

    def record(self, ending: Ending) -> bool:
        self.recorded.append((ending.exchange.principal.account, ending.exchange.prints))
        return True


class Printing:
    """Stands for a fingerprinter; notes how many prompts came at a time."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.broken = False

    def __call__(self, prompts: Sequence[Sequence[Text]]) -> Sequence[Sequence[str]]:
        self.batches.append(len(prompts))
        if self.broken:
            raise ValueError("broken")
        return [[text.text for text in texts] for texts in prompts]


class Scene:
    def __init__(self) -> None:
        self.both, self.printing = Both(), Printing()
        self.decider: Decider = Bench().decider
        self.decider._fingerprint = self.printing
        self.afterwards = Afterwards(self.both, self.both)  # type: ignore[arg-type] # what is asked of either is there

    def add(self, account: str, *, size: int = 10, prints: Sequence[str] | None = None, **changes: Any) -> Exchange:
        one: Exchange = exchange(account, **changes)
        one.texts, one.text_bytes, one.prints = [Text("user", "messages[0].content", account)], size, prints
        self.afterwards.add(ended(one), self.decider)
        return one


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_a_few_prompts_are_printed_together_and_all_is_told_and_recorded_in_order(scene: Scene) -> None:
    for number in range(20):
        scene.add(f"a{number}")
    assert len(scene.both.told) == 16, "those that are enough do not wait"
    async with asyncio.timeout(5):
        while len(scene.both.recorded) < 20:
            await asyncio.sleep(0.01)
    assert scene.both.told == scene.both.recorded == [(f"a{number}", [f"a{number}"]) for number in range(20)]
    assert scene.printing.batches == [16, 4]


async def test_many_bytes_do_not_wait_for_company(scene: Scene) -> None:
    for _ in range(5):
        scene.add("a", size=8_000)
    assert scene.printing.batches == [5]


async def test_what_has_its_prints_or_needs_none_does_not_wait(scene: Scene) -> None:
    scene.add("printed", prints=["b"])
    scene.add("unread", call=None)
    scene.decider._fingerprint = None
    scene.add("unwanted")
    assert scene.both.recorded == [("printed", ["b"]), ("unread", None), ("unwanted", None)]
    assert scene.printing.batches == []


async def test_what_is_recorded_elsewhere_is_told_of_at_once_with_its_prints(scene: Scene) -> None:
    one: Exchange = exchange("denied")
    one.texts, one.prints = [Text("user", "messages[0].content", "why")], None
    scene.afterwards.tell(ended(one), scene.decider)
    assert (scene.both.told, scene.both.recorded) == ([("denied", ["why"])], [])


async def test_what_waits_to_be_recorded_keeps_nothing_of_a_request_but_its_model(scene: Scene) -> None:
    call = Call("large", False, {"messages": [{"role": "user", "content": "why"}]})
    one = scene.add("a", prints=["b"], call=call)
    assert one.call is not None
    assert (one.call.model, one.call.body, one.texts, one.fields, one.rich) == ("large", {}, (), {}, None)
    assert call.body, "who has the call itself, as a sample has, can read it still"


async def test_at_the_end_nothing_is_left(scene: Scene) -> None:
    scene.add("a")
    assert scene.both.recorded == []
    scene.afterwards.flush()
    assert scene.both.recorded == [("a", ["a"])]
    scene.afterwards.flush()
    await asyncio.sleep(0.1)
    assert (len(scene.both.recorded), scene.printing.batches) == (1, [1])


async def test_records_are_not_lost_with_the_prints(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.printing.broken = True
    scene.add("a")
    scene.afterwards.flush()
    assert scene.both.recorded == scene.both.told == [("a", None)]
    assert "could not be fingerprinted" in caplog.text
