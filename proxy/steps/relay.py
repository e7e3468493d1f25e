"""The way back: an upstream's answer, chunk by chunk, to the client; or an error in its place.

Laws: a plain answer is a stream of one chunk; nothing reads ahead of a client that is slow; an answer without its
dialect's own end marker is never passed off as complete. Plain answers are kept until they are whole, so only few large
ones of an upstream come in at once; the others wait at the upstream.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping, Sequence

from aiohttp.web_request import BaseRequest

from proxy.clients.answers import Answer, AnswerWriter, Reply, Stream, hold
from proxy.clients.framing import Doubtful
from proxy.deciding.answering import Answering
from proxy.deciding.course import Course
from proxy.decision import Effect, Outcome
from proxy.dialects.base import ChunkDecoder, Dialect
from proxy.dialects.tagged import TaggedDecoder
from proxy.errors import ProxyError, UpstreamFailed, UpstreamTimeout
from proxy.exchange import Call, Chunk
from proxy.steps.limit_headers import LimitHeaders
from proxy.upstream.model_api import UpstreamAnswer, UpstreamReset

_JSON = "application/json"
_EVENTS = "text/event-stream"
# Some eighty events, for which three actions take about a millisecond.
_SLICE_BYTES = 16_384
_OFF_LOOP_BYTES = 2_048  # actions that read prose take five microseconds a word: two milliseconds at most
_LARGE_BYTES = 524_288
_NO_HEADERS: Mapping[str, str] = {}
# The one word to a client whose answer was limited, the same for every reason.
LIMITED: Mapping[str, str] = {"stillgate-limited": "1"}
_LIMITED_LINE = "".join([f"{name}: {value}\r\n" for name, value in LIMITED.items()])


class UpstreamTruncated(UpstreamFailed):
    """The stream ended before the dialect said so."""

    code = "upstream_truncated"


class Relay:
    """The answer to one request."""

    __slots__ = ("_answers", "_dialect", "_exchange_id", "_limits", "_request", "_stream")

    def __init__(
        self,
        answers: AnswerWriter,
        limits: LimitHeaders,
        request: BaseRequest,
        dialect: Dialect,
        exchange_id: str,
    ) -> None:
        self._answers = answers
        self._limits = limits
        self._request = request
        self._dialect = dialect
        self._exchange_id = exchange_id
        self._stream: Stream | None = None

    def whole(self, body: bytes, lines: str = "") -> Answer:
        """Return a successful answer; `lines` are further headers."""
        lines = f"{self._dialect.request_id_header}: {self._exchange_id}\r\n{lines}"
        return self._answers.whole(self._request, 200, _JSON, body, _NO_HEADERS, lines)

    async def relay(self, answer: UpstreamAnswer, call: Call, course: Course) -> Reply:
        """Pass an upstream's answer on as it comes. Raises UpstreamFailed, also after the stream began."""
        dialect, answering = self._dialect, course.answering
        tenant, streamed = course.exchange.principal.tenant, _is_stream(answer)
        if answering is not None:
            await answering.open(dialect, call, streamed=streamed)
        decoder = self._decoder(call, course, streamed=streamed)
        course.progress = decoder.progress
        if streamed:
            self._stream = self._opened(answer.content_type, course)
            course.status = 200
        waits = not streamed and await _is_large(answer, decoder)
        if waits:
            await answer.large.enter(tenant)
        try:
            await self._pass(answer, decoder, course)
            # For actions a document is read whole, which takes long if it is large: then in a thread.
            chunks = await asyncio.to_thread(decoder.finish) if waits and answering is not None else decoder.finish()
        finally:
            if waits:
                answer.large.leave(tenant)
        ended = not streamed or course.progress.complete
        if not ended:
            chunks = []  # a torn event, which the client could not read and should not trip over
        if answering is None:
            out = await self._send(chunks, course)
        else:
            made = _made(answering, chunks, last=ended)
            del chunks  # parsed, a document takes ten times its bytes, and the answer may be held
            out = await self._pass_on(await made, answering, course)
        if not course.progress.complete and not course.progress.failed:
            raise UpstreamTruncated("The model API ended its answer too early.")
        course.outcome = Outcome.UPSTREAM_ERROR if course.progress.failed else Outcome.ANSWERED
        if self._stream is not None:
            return self._stream
        course.status = 200
        limits = self._limits_of(course)
        return self.whole(out, f"{_LIMITED_LINE}{limits}" if _is_limited(course) else limits)

    def _decoder(self, call: Call, course: Course, *, streamed: bool) -> ChunkDecoder:
        dialect, answering = self._dialect, course.answering
        decoder = dialect.decoder(call, streamed=streamed, every=answering is not None)
        if call.gives is not None:
            ids = course.decider.ids(course.exchange, course.model)
            return TaggedDecoder(decoder, call.gives, ids, every=answering is not None)
        return answering.over(decoder, dialect) if answering is not None and streamed else decoder

    async def _pass(self, answer: UpstreamAnswer, decoder: ChunkDecoder, course: Course) -> None:
        """Pass on what comes, up to the end; after a stream's own end marker any end of the connection will do."""
        answering = course.answering
        try:
            while not answer.ended and (data := await answer.read()):
                if answering is None:
                    out = self._encoded(decoder.feed(data), course)
                    if out and self._stream is not None:
                        await self._stream.send(out)
                else:
                    await self._work_on(data, decoder, answering, course)
        except (UpstreamReset, UpstreamTimeout):
            if self._stream is None or not course.progress.complete:
                raise

    def _opened(self, content_type: str, course: Course) -> Stream:
        headers = {self._dialect.request_id_header: self._exchange_id, "cache-control": "no-cache"}
        if course.disclosed:
            headers |= LIMITED
        return self._answers.stream(self._request, 200, content_type, headers, self._limits_of(course))

    def _limits_of(self, course: Course) -> str:
        """Return the lines that tell what is left of the caller's limits at this moment."""
        if course.reserved is None:
            return ""
        return self._limits.lines(self._dialect, course.plan, course.reserved, course.met, course.unseen)

    async def _work_on(self, data: bytes, decoder: ChunkDecoder, answering: Answering, course: Course) -> None:
        """Let actions work on what came, a little at a time: others are served in between."""
        for start in range(0, len(data), _SLICE_BYTES):
            if start:
                await asyncio.sleep(0)
            part = data[start : start + _SLICE_BYTES]
            await self._pass_on(answering.of(decoder.feed(part), last=False), answering, course)

    async def _pass_on(self, chunks: Sequence[Chunk], answering: Answering, course: Course) -> bytes:
        """Send what actions made of chunks, each whole and not before its moment, and return the bytes that went last.

        Nothing is read meanwhile, so the upstream is held up too.
        """
        ready: list[Chunk] = []
        coming = deque(chunks)
        del chunks  # parsed, an event takes ten times its bytes, and the wait may be long
        while coming:
            chunk = coming.popleft()
            wait = answering.wait(chunk)
            if wait > 0 or chunk.gaps:
                await self._send(ready, course)
                ready = []
            if wait > 0 and course.deadline is not None:
                course.deadline += wait  # the delay is ours: no answer is to be cut for it
            if chunk.gaps:
                if wait > 0:
                    await asyncio.sleep(wait)
                ready = list(await self._filled(chunk, answering, course))
                continue
            chunk = answering.leaving(chunk)
            if wait > 0:
                raw = self._dialect.encode(chunk, streamed=self._stream is not None)
                chunk = Chunk(raw)
                await hold(self._request.protocol, len(raw), wait)
            ready.append(chunk)
        out = self._encoded(ready, course)
        del ready  # as above
        if self._stream is not None and out:
            await self._stream.send(out)
        return out

    @staticmethod
    async def _filled(chunk: Chunk, answering: Answering, course: Course) -> Sequence[Chunk]:
        """Return a chunk once its gaps are filled, which takes no longer than the pack allows."""
        clock = asyncio.get_running_loop().time
        deadline, course.deadline, began = course.deadline, None, clock()
        chunks = await answering.filled(chunk)
        if deadline is not None:
            course.deadline = deadline + clock() - began  # as above
        return chunks

    async def _send(self, chunks: Sequence[Chunk], course: Course) -> bytes:
        """Send chunks if the answer is a stream, and return their bytes."""
        out = self._encoded(chunks, course)
        del chunks  # as above
        if self._stream is not None and out:
            await self._stream.send(out)
        return out

    def _encoded(self, chunks: Sequence[Chunk], course: Course) -> bytes:
        """Return chunks as bytes, and count them."""
        if not chunks:
            return b""
        encode, streamed = self._dialect.encode, self._stream is not None
        if len(chunks) == 1:
            out = encode(chunks[0], streamed=streamed)
        else:
            out = b"".join([encode(chunk, streamed=streamed) for chunk in chunks])
        course.chunks += len(chunks)
        course.bytes_out += len(out)
        if course.heard is not None:
            course.heard.add(out)
        return out

    @property
    def begun(self) -> bool:
        """Whether the client has seen a part of the answer already."""
        return self._stream is not None and self._stream.begun

    async def fail_in_stream(self, error: ProxyError) -> Reply:
        """End a stream that has begun with an event that says why."""
        if self._stream is None:
            raise RuntimeError("there is no stream to end")
        await self._stream.send(self._dialect.error_event(error, self._exchange_id))
        return self._stream

    def fail(self, error: ProxyError, course: Course | None = None) -> Answer:
        """Answer with an error; doubtful framing or a body that was not read to its end ends the connection too.

        Without a course, nobody knows who asks.
        """
        headers = {self._dialect.request_id_header: self._exchange_id, **error.headers}
        if error.retry_after is not None:
            headers["retry-after"] = str(math.ceil(error.retry_after))
        body = self._dialect.error(error, self._exchange_id)
        lines = "" if course is None else self._limits_of(course)
        last = isinstance(error, Doubtful) or not self._request.content.at_eof()
        return self._answers.whole(self._request, error.status, _JSON, body, headers, lines, close=last)


async def _is_large(answer: UpstreamAnswer, decoder: ChunkDecoder) -> bool:
    """Read a plain answer up to `_LARGE_BYTES` into the decoder, and tell whether it goes on beyond that."""
    size = 0
    while size < _LARGE_BYTES and not answer.ended and (data := await answer.read()):
        decoder.feed(data)
        size += len(data)
    return not answer.ended


def _is_limited(course: Course) -> bool:
    """Tell whether a whole answer was really limited and its caller is to know; a stream's head says so beforehand."""
    told = course.verdict if course.answering is None else course.answering.told(course.verdict)
    return course.disclosed and told.effect is Effect.DEGRADE


async def _made(answering: Answering, chunks: Sequence[Chunk], *, last: bool) -> Sequence[Chunk]:
    """Return what actions make of chunks; of a long document in a thread, since it comes all at once."""
    if sum(len(chunk.raw or b"") for chunk in chunks) > _OFF_LOOP_BYTES:
        return await asyncio.to_thread(answering.of, chunks, last=last)
    return answering.of(chunks, last=last)


def _is_stream(answer: UpstreamAnswer) -> bool:
    """Tell whether an answer is a stream of events or one document. Raises UpstreamFailed if it is neither."""
    kind = answer.content_type
    if kind != _JSON:
        kind = kind.partition(";")[0].strip().lower()
    if kind not in (_JSON, _EVENTS) or answer.encoded:
        raise UpstreamFailed("The model API gave an answer of another kind than was asked for.")
    return kind == _EVENTS
