"""OpenAI's embeddings, which turn texts into vectors: POST /v1/embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from proxy.dialects import _request as request
from proxy.dialects._names import names
from proxy.dialects._openai import OpenAIDialect
from proxy.dialects._openai_embeddings_answer import EmbeddingsDecoder, EmbeddingsWire
from proxy.dialects._openai_request import prompt_tokens
from proxy.dialects._texts import texts
from proxy.dialects._wordless import refuse_stream, write_unstreamed
from proxy.dialects.base import ChunkDecoder
from proxy.errors import BadRequest
from proxy.exchange import Call, Text, Work
from proxy.wire import Wire

# The top-level members of the API, as of 2026: those that no model sees, and all.
_SETTINGS = names("dimensions encoding_format model stream user")
_INPUT = "input"
_KNOWN = _SETTINGS | {_INPUT}
_MAX_INPUTS = 2_048
_MAX_DIMENSIONS = 8_192
_FORMATS = frozenset({"float", "base64"})


class OpenAIEmbeddings(OpenAIDialect):
    """The dialect; `allow` names further top-level members that requests may have."""

    name: ClassVar[str] = "openai.embeddings"
    path: ClassVar[str] = "/v1/embeddings"
    known: ClassVar[frozenset[str]] = _KNOWN

    def call(self, document: dict[str, Any]) -> Call:
        """Check a document that was read strictly."""
        request.check_names(document, self._accepted)
        model = request.model(document)
        inputs, token_ids = prompt_tokens(document, _INPUT, _MAX_INPUTS)
        if request.flag(document, "stream"):
            raise BadRequest("`stream` must not be true: embeddings come as one document.", param="stream")
        request.whole(document, "dimensions", 1, _MAX_DIMENSIONS)
        given = document.get("encoding_format")
        if given is not None and (type(given) is not str or given not in _FORMATS):
            raise request.wrong("encoding_format", "float or base64")
        return Call(model, False, document, 0, prompts=inputs, token_ids=token_ids, work=Work.EMBED)

    def write(self, call: Call) -> bytes:
        """Serialise the call."""
        return write_unstreamed(call)

    def texts(self, call: Call) -> Iterator[Text]:
        """Yield every text; nobody here can read what is given as tokens."""
        value = call.body[_INPUT]
        if type(value) is str:
            yield Text(_INPUT, _INPUT, value)
        elif not call.token_ids:
            yield from _listed(value)
        yield from texts({name: each for name, each in call.body.items() if name != _INPUT}, _SETTINGS, _KNOWN)

    def decoder(self, call: Call, *, streamed: bool, every: bool = False) -> ChunkDecoder:
        """Return a decoder for an answer that is one JSON document."""
        del call  # we ask for nothing besides
        refuse_stream(streamed=streamed)
        return EmbeddingsDecoder(every=every)

    def wire(self, *, streamed: bool) -> Wire:
        """Return what actions may know of an answer."""
        del streamed  # the decoder has refused streams
        return EmbeddingsWire()


def _listed(values: Sequence[str]) -> Iterator[Text]:
    for place, text in enumerate(values):
        yield Text(_INPUT, f"{_INPUT}[{place}]", text)
