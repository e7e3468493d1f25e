"""Lets the actions of a decision change the answer, one after the other in the order of the ladder.

Laws: what one action returns is what the next one sees; what the answer became is what the record says. A gap is filled
after all actions have seen its chunk, so that none has to wait, and none changes what fills it. Texts that an API
repeats are adjusted as chunks leave: before a gap is filled, nobody knows what they are.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from proxy.actions.base import Loading
from proxy.clock import Clock
from proxy.deciding.decider import Acting, Decision
from proxy.decision import Effect, Verdict
from proxy.dialects.base import ChunkDecoder, Dialect, RetellingDialect
from proxy.dialects.framed import FramedDecoder
from proxy.exchange import Call, Chunk
from proxy.rules.pack.pack import Rung
from proxy.wire import Retelling, Transform, filled


class Answering:
    """The actions of one exchange on its answer."""

    def __init__(self, decision: Decision, clock: Clock) -> None:
        self._sent = decision.call
        self._clock = clock
        self._acting = decision.acting
        self._done = decision.actions
        self._changed_by = decision.changed_by
        self._at_work: list[tuple[Acting, Transform]] = []
        self._helped: Counter[str] = Counter()
        self._retelling: Retelling | None = None

    @classmethod
    def of_decision(cls, decision: Decision, dialect: Dialect, clock: Clock) -> Answering | None:
        """Return the actions of a degradation, None if the answer needs none of them.

        It needs them also where an action changed only the call, if the dialect's answers repeat what was asked.
        """
        return cls(decision, clock) if decision.acting or isinstance(dialect, RetellingDialect) else None

    async def open(self, dialect: Dialect, asked: Call, *, streamed: bool) -> None:
        """Let the actions begin, once it is known whether the answer to `asked` is a stream."""
        wire = dialect.wire(streamed=streamed)
        if hasattr(dialect, "retelling"):  # a protocol's isinstance takes as long as two words do
            retelling = cast("RetellingDialect", dialect).retelling
            self._retelling = retelling(asked, self._sent or asked, streamed=streamed)
        for acting in self._acting:
            if hasattr(acting.action, "load"):  # as above
                await cast("Loading", acting.action).load()
        self._at_work = [(acting, acting.action.on_answer(wire)) for acting in self._acting]

    def over(self, decoder: ChunkDecoder, dialect: Dialect) -> ChunkDecoder:
        """Return a decoder of a stream that reads no more of it than the actions need."""
        if self._retelling is not None or not all(transform.takes_sayings for _, transform in self._at_work):
            return decoder
        return FramedDecoder(decoder, dialect.wire(streamed=True), partial(dialect.encode, streamed=True))

    def of(self, chunks: Iterable[Chunk], *, last: bool) -> Sequence[Chunk]:
        """Return what the actions make of chunks; with the last ones, all that was held back."""
        if self._retelling is not None:
            chunks = list(chunks)
            for chunk in chunks:
                self._retelling.note(chunk)
        for _, transform in self._at_work:
            made = [each for chunk in chunks for each in transform.feed(chunk)]
            chunks = [*made, *transform.end()] if last else made
        return list(chunks)

    def wait(self, chunk: Chunk) -> float:
        """Return for how many seconds a chunk may not go yet."""
        return chunk.not_before - self._clock.monotonic() if chunk.not_before else 0.0

    def leaving(self, chunk: Chunk) -> Chunk:
        """Return what the client gets of a chunk without gaps, once all before it have left."""
        return chunk if self._retelling is None else self._retelling.put(chunk)

    async def filled(self, chunk: Chunk) -> Sequence[Chunk]:
        """Return what the client gets of a chunk with gaps, once all helpers that fill them were asked."""
        answers = await asyncio.gather(*(gap.ask() for gap in chunk.gaps))
        for answer in answers:
            self._helped += Counter({answer.how.value: 1, "input": answer.usage.input, "output": answer.usage.output})
        return [self.leaving(each) for each in filled(chunk, [answer.text for answer in answers])]

    @property
    def helped(self) -> Mapping[str, int]:
        """How often each outcome of asking helper models came, and the tokens it took; empty if none was asked."""
        return self._helped

    def told(self, verdict: Verdict) -> Verdict:
        """Return the verdict with what was really done: if nothing was changed, nothing was degraded."""
        if verdict.effect is not Effect.DEGRADE:
            return verdict
        changed = [acting for acting, transform in self._at_work if transform.changed]
        done = {*self._done, *(acting.name for acting in changed)}
        rungs = [acting.rung for acting in changed] + ([self._changed_by] if self._changed_by is not None else [])
        return replace(
            verdict,
            actions=tuple(name for name in verdict.actions if name in done),
            effect=Effect.DEGRADE if rungs else Effect.ALLOW,
            by=max(rungs, key=_score).name if rungs else "",
        )


def _score(rung: Rung) -> int:
    return rung.score
