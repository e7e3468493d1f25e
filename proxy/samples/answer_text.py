"""Finds the text in the beginning of an answer, given as the bytes that went to a client; for readers of samples."""

from __future__ import annotations

from proxy.dialects import dialects
from proxy.errors import ProxyError
from proxy.exchange import Call
from proxy.wire import Kind


def answer_text(dialect: str, answer: str) -> str:
    """Return the texts and the reasoning in an answer, one lane below the other; the answer itself if it has none.

    A document that was cut has none, nor have vectors, nor an answer that only calls tools.
    """
    known = next((known for known in dialects(frozenset()).values() if known.name == dialect), None)
    streamed = not answer.lstrip().startswith("{")
    lanes: dict[tuple[Kind, int], list[str]] = {}
    if known is not None:
        try:
            decoder = known.decoder(Call("", stream=streamed, body={}), streamed=streamed, every=True)
            chunks = decoder.feed(answer.encode())
            chunks += [] if streamed else decoder.finish()
        except ProxyError:
            chunks = []
        parts = known.wire(streamed=streamed).parts
        for part in (part for chunk in chunks for part in parts(chunk)):
            if part.kind in (Kind.TEXT, Kind.REASONING) and part.text:
                lanes.setdefault((part.kind, part.lane), []).append(part.text)
    return "\n".join("".join(texts) for texts in lanes.values()) or answer
