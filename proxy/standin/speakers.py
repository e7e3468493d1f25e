"""The APIs behind one face: who may ask, what to say, how to refuse."""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from proxy.clock import Clock
from proxy.errors import BadRequest, ProxyError, Unauthenticated
from proxy.standin import (
    chat_answer,
    chat_request,
    completions_answer,
    completions_request,
    embeddings,
    messages_answer,
    messages_request,
    responses_answer,
    responses_request,
)
from proxy.standin.answer import compose
from proxy.standin.catalog import MODELS
from proxy.standin.pace import Frame
from proxy.standin.prompt_cache import PromptCache
from proxy.standin.prose import Prose
from proxy.standin.responses_store import ResponseStore
from proxy.standin.signing import ThoughtSigner

NewId = Callable[[str], str]  # takes a prefix, returns an id that was never given before


@dataclass(frozen=True, slots=True)
class Means:
    """What every speaker has to work with; without a `credential` anyone may ask."""

    seed: int
    prose: Prose
    clock: Clock
    new_id: NewId
    credential: str | None = field(repr=False)
    signing_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer ready to go out: `frames` if it was asked for as a stream, else `body`."""

    tokens: int
    body: bytes = b""
    frames: Iterator[Frame] | None = None


class Speaker(Protocol):
    """One API's side of the conversation."""

    request_id_header: str

    def admit(self, headers: Mapping[str, str]) -> None:
        """Raise Unauthenticated or BadRequest if the headers are not what this API asks for."""
        ...

    def answer(self, body: bytes) -> Reply:
        """Return the answer to a request. Raises BadRequest or NotFound."""
        ...

    def models(self) -> bytes:
        """Return the list of models."""
        ...

    def refusal(self, error: ProxyError, request_id: str) -> bytes:
        """Return an error's body."""
        ...


class _OpenAISpeaker:
    """What OpenAI's APIs have in common."""

    request_id_header = "x-request-id"

    def __init__(self, means: Means) -> None:
        self._seed = means.seed
        self._prose = means.prose
        self._clock = means.clock
        self._new_id = means.new_id
        self._credential = means.credential

    def admit(self, headers: Mapping[str, str]) -> None:
        """Check the bearer token."""
        if self._credential is not None and not _same(_bearer(headers), self._credential):
            raise Unauthenticated("Incorrect API key provided.")

    def models(self) -> bytes:
        """List the models as `object: list`."""
        data = [
            {"id": model.id, "object": "model", "created": model.created, "owned_by": "stillgate"}
            for model in MODELS.values()
        ]
        return orjson.dumps({"object": "list", "data": data})

    def refusal(self, error: ProxyError, request_id: str) -> bytes:  # noqa: ARG002 - here the id is in a header only
        """Word an error."""
        return chat_answer.error_body(error)


class ChatSpeaker(_OpenAISpeaker):
    """Chat completions."""

    def answer(self, body: bytes) -> Reply:
        """Answer a chat completion request."""
        request = chat_request.read(body, self._seed)
        answers = [compose(request.wish, self._prose, index) for index in range(request.choices)]
        call_ids = [self._new_id("call_") if answer.tool else "" for answer in answers]
        stamp = chat_answer.Stamp(self._new_id("chatcmpl-"), call_ids, int(self._clock.wall()))
        longest = max(answer.output_tokens for answer in answers)  # choices are generated side by side
        if request.stream:
            return Reply(longest, frames=chat_answer.frames(request, answers, stamp))
        return Reply(longest, body=chat_answer.document(request, answers, stamp))


class ResponsesSpeaker(_OpenAISpeaker):
    """Responses, which are kept unless the request says otherwise."""

    def __init__(self, means: Means) -> None:
        super().__init__(means)
        self._store = ResponseStore()
        self._signer = ThoughtSigner(means.signing_key)

    def answer(self, body: bytes) -> Reply:
        """Answer a responses request."""
        request = responses_request.read(body, self._seed, self._store, self._signer)
        answer = compose(request.wish, self._prose)
        stamp = responses_answer.Stamp(
            id=self._new_id("resp_"),
            item_id=self._new_id("msg_" if answer.tool is None else "fc_"),
            reasoning_id=self._new_id("rs_"),
            call_id=self._new_id("call_") if answer.tool is not None else "",
            sealed=responses_request.encrypted(answer.reasoning, self._signer),
            created=int(self._clock.wall()),
        )
        output = responses_answer.items(request, answer, stamp)
        if request.store:
            self._store.keep(stamp.id, [*request.conversation, *output])
        if request.stream:
            return Reply(answer.output_tokens, frames=responses_answer.frames(request, answer, output, stamp))
        return Reply(answer.output_tokens, body=responses_answer.document(request, answer, output, stamp))


class CompletionsSpeaker(_OpenAISpeaker):
    """Completions of texts."""

    def answer(self, body: bytes) -> Reply:
        """Carry texts on."""
        request = completions_request.read(body, self._seed)
        written = completions_answer.write(request, self._prose)
        stamp = completions_answer.Stamp(self._new_id("cmpl-"), int(self._clock.wall()))
        if request.stream:
            return Reply(written.longest, frames=completions_answer.frames(request, written, stamp))
        return Reply(written.longest, body=completions_answer.document(request, written, stamp))


class EmbeddingsSpeaker(_OpenAISpeaker):
    """Embeddings."""

    def answer(self, body: bytes) -> Reply:
        """Turn texts into vectors."""
        return Reply(1, body=embeddings.answer(body, self._seed))


class MessagesSpeaker:
    """Messages. A version and some credential must be there; which one matters only if `credential` is given."""

    request_id_header = "request-id"

    def __init__(self, means: Means) -> None:
        self._seed = means.seed
        self._prose = means.prose
        self._new_id = means.new_id
        self._credential = means.credential
        self._signer = ThoughtSigner(means.signing_key)
        self._cache = PromptCache(means.clock)

    def admit(self, headers: Mapping[str, str]) -> None:
        """Check the key first and the version second, as the real API does."""
        given = headers.get("x-api-key") or _bearer(headers)
        if not given:
            raise Unauthenticated("x-api-key header is required")
        if self._credential is not None and not _same(given, self._credential):
            raise Unauthenticated("invalid x-api-key")
        if not headers.get("anthropic-version"):
            raise BadRequest("anthropic-version: header is required")

    def answer(self, body: bytes) -> Reply:
        """Answer a messages request."""
        request = messages_request.read(body, self._seed, self._signer, self._cache)
        answer = compose(request.wish, self._prose)
        stamp = messages_answer.Stamp(
            id=self._new_id("msg_"),
            call_id=self._new_id("toolu_") if answer.tool else "",
            signature=self._signer.sign(answer.reasoning) if answer.reasoning else "",
        )
        if request.stream:
            return Reply(answer.output_tokens, frames=messages_answer.frames(request, answer, stamp))
        return Reply(answer.output_tokens, body=messages_answer.document(request, answer, stamp))

    def models(self) -> bytes:
        """List the models as one page."""
        data = [
            {"type": "model", "id": model.id, "display_name": model.display_name, "created_at": _rfc3339(model.created)}
            for model in MODELS.values()
        ]
        page = {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]}
        return orjson.dumps(page)

    def refusal(self, error: ProxyError, request_id: str) -> bytes:
        """Word an error."""
        return messages_answer.error_body(error, request_id)


class CountSpeaker(MessagesSpeaker):
    """Counts of tokens."""

    def answer(self, body: bytes) -> Reply:
        """Count the tokens of a request."""
        count = messages_request.count(body, self._signer)
        return Reply(1, body=orjson.dumps({"input_tokens": count}))


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def _rfc3339(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
