"""Promises about answers that wait before they may go: what is kept of them, and how it counts."""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.clients.answers import hold
from proxy.clock import SystemClock
from proxy.exchange import Chunk
from proxy.steps import relay
from proxy.store.memory import MemoryStore
from tests.dialects.test_passed_over import completion
from tests.end_to_end.scene import CHAT, chat, delta
from tests.end_to_end.test_pace import PACK, USAGE
from tests.rig.in_process import served
from tests.rig.raw_client import RawClient, post
from tests.rig.scripted_upstream import body_answer, event, sse_answer
from tests.rig.waiting import until

FOR_ALL = [{**PACK["rules"][0], "when": {"request.model": "m-large"}}]


@pytest.mark.parametrize("tokens", [20, 3_000], ids=["small", "large"])
async def test_of_a_document_that_is_held_only_its_bytes_are_kept_and_count_as_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    """Read, it takes ten times as much; and others like it may be held meanwhile, for half a minute or five."""
    seen: list[tuple[bool, int]] = []

    async def holding(connection: Any, size: int, seconds: float) -> None:
        held = asyncio.create_task(hold(connection, size, seconds))
        await until(lambda: connection.held_bytes > 0)  # what woke us has a reference until we wait
        documents = [each for each in gc.get_objects() if type(each) is Chunk and each.data is not None]
        seen.append((bool(documents), connection.held_bytes))
        await held
        seen.append((bool(documents), connection.held_bytes))

    monkeypatch.setattr(relay, "hold", holding)
    body = json.dumps(completion(tokens, usage=USAGE)).encode()
    async with served(
        tmp_path, MemoryStore(SystemClock()), {**PACK, "rules": FOR_ALL}, SystemClock(), monkeypatch
    ) as here:
        here.upstream.script(body_answer(200, body, "application/json"))
        async with await RawClient.connect(here.port, within=60) as client:
            await client.send(post(CHAT, chat(), [("Authorization", f"Bearer {here.key}")]))
            assert (await client.response()).body == body
    assert seen == [(False, len(body)), (False, 0)]


async def test_what_is_held_no_longer_as_its_client_has_left_counts_no_longer() -> None:
    connection: Any = SimpleNamespace()
    held = asyncio.create_task(hold(connection, 5, 60))
    await asyncio.sleep(0)
    assert connection.held_bytes == 5
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held
    assert connection.held_bytes == 0


@pytest.mark.parametrize("rules", [[], FOR_ALL], ids=["allowed", "marked"])
async def test_a_record_counts_the_pieces_of_an_answer_and_not_its_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: list[dict[str, Any]]
) -> None:
    events = [delta(f"word {number} ") for number in range(40)]
    pack = {**PACK, "rules": rules, "ladder": [{"rung": "marked", "score": 50, "do": [{"mark": {"words": True}}]}]}
    async with served(tmp_path, MemoryStore(SystemClock()), pack, SystemClock(), monkeypatch) as here:
        here.upstream.script(sse_answer([b"".join(events), event("[DONE]")]))
        async with await RawClient.connect(here.port, within=60) as client:
            await client.send(post(CHAT, chat(stream=True), [("Authorization", f"Bearer {here.key}")]))
            assert (await client.response()).body.count(b"data: ") == 41
    lines = [
        line for file in (tmp_path / "data" / "decisions").glob("*.jsonl") for line in file.read_text().splitlines()
    ]
    (record,) = [row for line in lines if (row := json.loads(line))["kind"] == "exchange"]
    assert 0 < record["chunks"] < 41
