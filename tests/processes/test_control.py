from __future__ import annotations

import asyncio
import socket

import pytest

from proxy.handing import HandedPack
from proxy.processes.control import Line, LineClosed, answer_parent
from proxy.telemetry.metrics import Refusal
from proxy.telemetry.snapshot import merge
from proxy.telemetry.tally import Tally


async def pair() -> tuple[Line, Line]:
    one, other = socket.socketpair()
    return await Line.open(one), await Line.open(other)


async def test_a_snapshot_crosses_the_line_and_can_be_merged() -> None:
    parent, worker = await pair()
    tally = Tally(["m"])
    tally.refused(Refusal.BAD_PATH)
    tally.observe("stillgate_added_seconds", 0.001)

    async def answer() -> None:
        question = await worker.receive()
        await worker.send({"number": question["number"], "snapshot": tally.snapshot()})

    answering = asyncio.create_task(answer())
    received = (await parent.ask("snapshot"))["snapshot"]
    await answering
    assert merge([received]) == merge([tally.snapshot()])
    parent.close()
    worker.close()


async def test_an_answer_that_comes_after_its_question_was_given_up_is_not_taken_for_the_next_ones() -> None:
    parent, worker = await pair()
    late = asyncio.create_task(parent.ask("first"))
    first = await worker.receive()
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    second = asyncio.create_task(parent.ask("second"))
    asked = await worker.receive()
    await worker.send({"number": first["number"], "answer": "to the first"})
    await worker.send({"number": asked["number"], "answer": "to the second"})
    assert (await second)["answer"] == "to the second"
    parent.close()
    worker.close()


async def test_the_end_of_the_other_side_closes_the_line_for_reader_and_writer() -> None:
    parent, worker = await pair()
    worker.close()
    with pytest.raises(LineClosed):
        await parent.receive()
    parent.close()
    with pytest.raises(LineClosed):
        await parent.send({})


async def test_a_parent_that_is_killed_in_the_middle_of_a_line_is_gone() -> None:
    async def switch(pack: HandedPack) -> str:
        raise AssertionError(pack)

    parent, child = socket.socketpair()
    worker = await Line.open(child)
    parent.send(b'{"ask": "switch", "number": 1, "pack_digest": "a", "pack": "gAV')
    parent.close()
    assert await answer_parent(worker, dict, switch) is None
    worker.close()


async def test_a_pack_that_takes_long_to_load_holds_up_no_other_answer_nor_the_end() -> None:
    parent, worker = await pair()
    loaded, begun = asyncio.Event(), list[str]()

    async def switch(pack: HandedPack) -> str:
        begun.append(pack.digest)
        await loaded.wait()
        return pack.digest

    answering = asyncio.create_task(answer_parent(worker, dict, switch))
    late = asyncio.create_task(parent.ask("switch", pack_digest="a", pack=""))
    async with asyncio.timeout(10):
        while not begun:
            await asyncio.sleep(0)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        assert await parent.ask("beat") == {"number": 2}
        again = asyncio.create_task(parent.ask("switch", pack_digest="b", pack=""))
        await asyncio.sleep(0.01)
        assert begun == ["a"]  # one at a time
        loaded.set()
        assert await again == {"number": 3, "pack_digest": "b"}
        loaded.clear()
        await parent.send({"ask": "switch", "number": 4, "pack_digest": "c", "pack": ""})
        await parent.send({"ask": "drain", "seconds": 2})
        assert await answering == 2.0
    parent.close()
    worker.close()
