"""Asks configured models for help with an answer, such as a summary of its reasoning.

Laws:
- Whatever goes wrong is a `Helped` that says so, within the time allowed; nobody else waits for it.
- What is asked goes to the model's own upstream and into no log; what comes back is printable text of bounded length.
- A model that fails several times in a row is left alone for a while, then asked once to see whether it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from proxy.actions.base import Question
from proxy.clock import Clock
from proxy.dialects.base import Dialect
from proxy.errors import ProxyError, UpstreamFailed, UpstreamTimeout
from proxy.exchange import BYTES_PER_TOKEN, Call, Help, Helped, Progress, Usage, text_bytes
from proxy.telemetry.tally import Tally
from proxy.upstream.breaker import Breaker
from proxy.upstream.model_api import UpstreamAnswer
from proxy.upstream.served_model import ServedModel
from proxy.wire import Kind

_JSON = "application/json"
_ANSWER_BYTES = 65_536  # a thousand tokens are a tenth of that
_MOST_BYTES_PER_TOKEN = 8  # English has about four


class HelperModels:
    """The models of one process as helpers; `speaks` has the dialect in which each upstream is asked, by its name."""

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        speaks: Mapping[str, Dialect],
        tally: Tally,
        clock: Clock,
    ) -> None:
        self._models = models
        self._speaks = speaks
        self._tally = tally
        self._clock = clock
        self._breakers = {name: Breaker(clock) for name in models}

    async def ask(self, question: Question) -> Helped:
        """Return what the model says."""
        breaker = self._breakers[question.model]
        if breaker.lets_through():
            begun = self._clock.monotonic()
            try:
                helped = await self._asked(question)
            except BaseException:
                breaker.left(begun)
                raise
            if helped.how in (Help.LATE, Help.FAILED):
                breaker.failed()
            else:
                breaker.worked()
        else:
            helped = Helped(Help.RESTING)
        self._tally.count("stillgate_helper_calls_total", (question.model, helped.how.value))
        self._tally.count("stillgate_helper_tokens_total", (question.model, "input"), helped.usage.input)
        self._tally.count("stillgate_helper_tokens_total", (question.model, "output"), helped.usage.output)
        return helped

    async def _asked(self, question: Question) -> Helped:
        try:
            async with asyncio.timeout(question.within):
                return await self._answered(question)
        except (TimeoutError, UpstreamTimeout):
            return Helped(Help.LATE)
        except ProxyError:
            return Helped(Help.FAILED)

    async def _answered(self, question: Question) -> Helped:
        model = self._models[question.model]
        dialect = self._speaks[model.upstream.name]
        call = _call(question, dialect)
        answer = await model.post("", dialect, dialect.default_headers, call, dialect.write(call), _nothing)
        try:
            body = await _body(answer)
        finally:
            answer.close()
        decoder = dialect.decoder(call, streamed=False, every=True)
        chunks = [*decoder.feed(body), *decoder.finish()]
        wire = dialect.wire(streamed=False)
        said = [part.text for chunk in chunks for part in wire.parts(chunk) if part.kind is Kind.TEXT]
        return _judged(question, "".join(said), decoder.progress)


def _call(question: Question, dialect: Dialect) -> Call:
    """Return a question as a call in a dialect; all of those asked here know these members."""
    length = question.tokens
    asked = [{"role": "user", "content": question.text}]
    call = dialect.call({"model": question.model, "max_tokens": length, "messages": asked})
    if call.length_member != "max_tokens":
        call = dialect.call({"model": question.model, call.length_member: length, "messages": asked})
    if call.instruct is None:
        raise UpstreamFailed("The model cannot be told what to do.")
    call.body = call.instruct(call.body, question.instruction)
    return call


async def _body(answer: UpstreamAnswer) -> bytes:
    kind = answer.content_type.partition(";")[0].strip().lower()
    if answer.status != 200 or answer.encoded or kind != _JSON:
        raise UpstreamFailed("The model API gave another answer than was asked for.")
    return await answer.read_at_most(_ANSWER_BYTES)


def _judged(question: Question, text: str, progress: Progress) -> Helped:
    """Return what a model said, if it can be used."""
    if progress.failed or not progress.complete:
        return Helped(Help.FAILED)
    text = "".join([char if char.isprintable() or char == "\n" else " " for char in text]).strip()
    size = text_bytes(text)
    usage = progress.usage or Usage(text_bytes(question.text) // BYTES_PER_TOKEN + 1, size // BYTES_PER_TOKEN + 1)
    if progress.refused or not text:
        return Helped(Help.DECLINED, usage=usage)
    # An answer that was cut off ends in the middle of a word; only its length tells that in every dialect.
    if usage.output >= question.tokens or size > question.tokens * _MOST_BYTES_PER_TOKEN:
        return Helped(Help.TOO_LONG, usage=usage)
    return Helped(Help.MADE, text, usage)


def _nothing() -> None:
    pass
