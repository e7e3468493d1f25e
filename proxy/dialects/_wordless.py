"""Calls and answers of APIs whose model writes nothing: the answer is one document, never a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from proxy.dialects import strict_json
from proxy.errors import UpstreamFailed
from proxy.exchange import Call, Chunk
from proxy.wire import ALL_LANES, AsItCame, Kind, Part, Seal, Summarise, Transform


class WordlessWire:
    """The wire: actions find nothing but the name of the model, if it is there."""

    streamed = False
    one_answer = True

    def parts(self, chunk: Chunk) -> Sequence[Part]:
        """Return the parts of a document."""
        model = chunk.data.get("model") if chunk.data is not None else None
        return [Part(Kind.MODEL, ALL_LANES, ("model",), model)] if type(model) is str else []

    def written(self, chunk: Chunk) -> int:
        """Return 0: the model wrote nothing."""
        del chunk
        return 0

    def coarse(self, logprobs: Any, most: int | None, decimals: int | None) -> Any:  # noqa: ANN401 - JSON
        """Return `logprobs` as it is: there are none."""
        del most, decimals
        return logprobs

    def delta(self, like: Chunk, lane: int, text: str) -> Chunk:
        """Return `like` as it is: there is no text to carry on."""
        del lane, text
        return like

    def without_reasoning(self, seal: Seal, summarise: Summarise | None) -> Transform:
        """Return a transform that changes nothing."""
        del seal, summarise
        return AsItCame()


def refuse_stream(*, streamed: bool) -> None:
    """Raise UpstreamFailed for an answer that is a stream of events, which nobody asked for."""
    if streamed:
        raise UpstreamFailed("The model API gave an answer of another kind than was asked for.")


def write_unstreamed(call: Call) -> bytes:
    """Serialise a call for an API without `stream`, which a client may still have sent as false."""
    return strict_json.write({name: value for name, value in call.body.items() if name != "stream"})
