"""The line between the parent process and one of its workers: a socket pair with one JSON document a line.

Laws: the parent asks and the worker answers; questions are numbered, since the answer to a `switch` may come long after
those to later questions. When the line closes, the other side is gone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson

from proxy.handing import HandedPack

_FROM_CHILD = 4 * 1024 * 1024  # bytes of a line
FROM_PARENT = 1 << 40  # no bound here: packs and pattern sets are bounded by the sizes allowed for their files


def _nothing(_: bool) -> None:
    pass


class LineClosed(ConnectionError):
    """The process at the other end has ended."""


class Line:
    """One end of the line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._asked = 0
        self._awaited: dict[int, asyncio.Future[dict[str, Any]]] = {}  # answers, by their question's number
        self._listening: asyncio.Task[None] | None = None  # to answers, from the first question on

    @classmethod
    async def open(cls, end: socket.socket, most: int = _FROM_CHILD) -> Line:
        """Take over one end of a socket pair; a line may be at most `most` bytes long."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=most))

    async def send(self, document: dict[str, Any]) -> None:
        """Send one document. Raises LineClosed."""
        try:
            self._writer.write(orjson.dumps(document, default=tuple) + b"\n")  # named tuples become arrays
            await self._writer.drain()
        except (OSError, RuntimeError):  # RuntimeError: what uvloop raises if the transport is closed already
            raise LineClosed from None

    async def receive(self) -> dict[str, Any]:
        """Return the next document. Raises LineClosed."""
        try:
            line = await self._reader.readline()
        except (OSError, ValueError):
            raise LineClosed from None
        if not line.endswith(b"\n"):  # perhaps killed in the middle of a line
            raise LineClosed
        document: dict[str, Any] = orjson.loads(line)
        return document

    async def ask(self, question: str, **values: object) -> dict[str, Any]:
        """Send a question and return its answer, whatever else is asked meanwhile. Raises LineClosed."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._awaited[number] = answer
        either: tuple[asyncio.Future[Any], ...] = (answer, self._listening)
        try:
            await self.send({"ask": question, "number": number, **values})
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._awaited[number]
        if not answer.done():
            raise LineClosed
        return answer.result()

    async def _listen(self) -> None:
        with suppress(LineClosed):
            while True:
                document = await self.receive()
                answer = self._awaited.get(document["number"])
                if answer is not None:  # otherwise the asker gave up
                    answer.set_result(document)

    def close(self) -> None:
        """Close this end."""
        self._writer.close()


async def answer_parent(
    line: Line,
    snapshot: Callable[[], object],
    switch: Callable[[HandedPack], Awaitable[str]],
    note_memory: Callable[[bool], None] = _nothing,
) -> float | None:
    """Answer the parent until it says drain; return how many seconds to drain, None if the parent is gone.

    A `beat` asks only for an answer. `snapshot` returns the numbers. `switch` takes a pack and returns the digest of
    the one then in force; packs come one at a time and delay no other answer. `note_memory` is told whether memory is
    full, and answers nothing.
    """
    turn = asyncio.Lock()
    switching: set[asyncio.Task[None]] = set()

    async def switch_in_turn(number: int, pack: HandedPack) -> None:
        async with turn:
            in_force = await switch(pack)
        with suppress(LineClosed):
            await line.send({"number": number, "pack_digest": in_force})

    try:
        while True:
            question = await line.receive()
            if question["ask"] == "drain":
                return float(question["seconds"])
            if question["ask"] == "memory":
                note_memory(question["full"])
                continue
            if question["ask"] == "switch":
                pack = HandedPack(question["pack_digest"], question["pack"])
                task = asyncio.create_task(switch_in_turn(question["number"], pack))
                switching.add(task)
                task.add_done_callback(switching.discard)
                continue
            answer: dict[str, Any] = {"number": question["number"]}
            if question["ask"] == "snapshot":
                answer["snapshot"] = snapshot()
            await line.send(answer)
    except LineClosed:
        return None
    finally:
        for task in switching:
            task.cancel()


async def answer_to_the_end(line: Line, snapshot: Callable[[], object], hurry: Callable[[], None]) -> None:
    """Answer the parent during a drain: with numbers, and to `hurry` by cutting it short. The parent may still say
    `drain` first, if somebody else's SIGTERM began the drain.
    """
    with suppress(LineClosed):
        while True:
            question = await line.receive()
            if question["ask"] == "hurry":
                hurry()
            elif question["ask"] == "snapshot":
                await line.send({"number": question["number"], "snapshot": snapshot()})
            elif question["ask"] == "beat":
                await line.send({"number": question["number"]})
