"""Calls and answers of APIs in which the model writes nothing: an answer comes as one document, never as a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from proxy.dialects import strict_json
from proxy.errors import UpstreamFailed
from proxy.exchange import Call, Chunk
from proxy.wire import ALL_LANES, AsItCame, Kind, Part, Seal, Summarise, Transform


class WordlessWire:
    """The wire: the name of the model is all that actions find, if it is there."""

    streamed = False
    one_answer = True

    def parts(self, chunk: Chunk) -> Sequence[Part]:
        """Return the parts of a document."""
        model = chunk.data.get("model") if chunk.data is not None else None
        return [Part(Kind.MODEL, ALL_LANES, ("model",), model)] if type(model) is str else []

    def written(self, chunk: Chunk) -> int:
        """Return nothing: the model wrote nothing."""
        del chunk
        return 0

    def coarse(self, logprobs: Any, most: int | None, decimals: int | None) -> Any:  # noqa: ANN401 - JSON
        """Return what came: there are no log-probabilities."""
        del most, decimals
        return logprobs

    def delta(self, like: Chunk, lane: int, text: str) -> Chunk:
        """Return what came: there is no text to carry on."""
        del lane, text
        return like

    def without_reasoning(self, seal: Seal, summarise: Summarise | None) -> Transform:
        """Return what takes out nothing."""
        del seal, summarise
        return AsItCame()


def refuse_stream(*, streamed: bool) -> None:
    """Raise UpstreamFailed for an answer that is a stream of events, which nobody asked for."""
    if streamed:
        raise UpstreamFailed("The model API gave an answer of another kind than was asked for.")


def write_unstreamed(call: Call) -> bytes:
    """Serialise a call to an API that does not know `stream`, though a client may say that it wants none."""
    return strict_json.write({name: value for name, value in call.body.items() if name != "stream"})
