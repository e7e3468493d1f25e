"""What leases ask the store: all questions of one turn of the event loop travel together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol

from proxy.errors import StoreRefused, StoreUnavailable
from proxy.rules.quotas.leases import Lease, Question, Reply


class StandIn(Protocol[Reply]):
    """Answers in the store's place while it is away."""

    def heard(self, lease: Any, reply: Reply, asked: float) -> None:  # noqa: ANN401 - of either kind
        """Note what the store answered to a question sent at `asked`."""
        ...

    def answer(self, lease: Any, question: Any) -> Reply | None:  # noqa: ANN401 - of either kind
        """Return the answer, None if only the store can answer."""
        ...


class Questions(Generic[Question, Reply]):
    """Gathers the questions of one turn of the event loop, sends them in one round trip and hands the replies out.

    While the store is away, the stand-in answers; where there is none, or no answer from it, those who wait fail. If
    the store did a part of the questions, this concerns only the others.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Question]], Awaitable[Sequence[Reply]]],
        now: Callable[[], float],
        stand_in: StandIn[Reply] | None = None,
    ) -> None:
        self._send = send
        self._now = now
        self._stand_in = stand_in
        self._asking: list[Lease[Question, Reply]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, lease: Lease[Question, Reply]) -> None:
        """Ask for this lease, together with the others of this turn."""
        self._asking.append(lease)
        if len(self._asking) == 1:
            task = asyncio.get_running_loop().create_task(self._flush())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def quiet(self) -> None:
        """Wait until no question is on its way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _flush(self) -> None:
        leases, self._asking = self._asking, []
        asked = self._now()
        questions = []
        asking = []
        for lease in leases:
            question = lease.question(asked)
            if question is not None:
                asking.append(lease)
                questions.append(question)
            elif lease.again():
                self.add(lease)
        if not questions:
            return
        try:
            replies = await self._send(questions)
        except StoreUnavailable as error:
            done = error.done if isinstance(error, StoreRefused) else {}
            for part, (lease, question) in enumerate(zip(asking, questions, strict=True)):
                if part in done:
                    self._hear(lease, done[part], asked)
                    continue
                answer = None if self._stand_in is None else self._stand_in.answer(lease, question)
                if answer is None:
                    lease.fail(error)
                else:
                    self._hand_out(lease, answer, self._now())
            return
        for lease, reply in zip(asking, replies, strict=True):
            self._hear(lease, reply, asked)

    def _hear(self, lease: Lease[Question, Reply], reply: Reply, asked: float) -> None:
        if self._stand_in is not None:
            self._stand_in.heard(lease, reply, asked)
        self._hand_out(lease, reply, asked)

    def _hand_out(self, lease: Lease[Question, Reply], reply: Reply, asked: float) -> None:
        lease.hear(reply, asked, self._now())
        if lease.again():
            self.add(lease)
