"""OpenAI embeddings: a text becomes the mean of its words' directions, so texts with words in common are near."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Sequence
from math import sqrt

import orjson

from proxy.standin import reading
from proxy.standin.catalog import find_model
from proxy.standin.completions_request import read_texts
from proxy.standin.prose import dice_for
from proxy.standin.reading import a_string, an_integer, wrong

_USUAL_DIMENSIONS = 256
_MOST_DIMENSIONS = 3_072
_MOST_TEXTS = 2_048
_MOST_WORDS = 64  # of a text that are looked at
_FORMATS = ("float", "base64")


def answer(body: bytes, server_seed: int) -> bytes:
    """Return the answer to a request. Raises BadRequest or NotFound in the API's own words."""
    document = reading.read_object(body)
    name = a_string(document, "model")
    model = find_model(name, f"The model `{name}` does not exist or you do not have access to it.")
    if unknown := document.keys() - {"model", "input", "dimensions", "encoding_format", "user"}:
        wrong(min(unknown), "is not known here", code="unknown_parameter")
    texts, tokens = read_texts(document, "input", _MOST_TEXTS)
    size = an_integer(document, "dimensions", 1, _MOST_DIMENSIONS) or _USUAL_DIMENSIONS
    form = document.get("encoding_format") or "float"
    if form not in _FORMATS:
        wrong("encoding_format", f"must be one of {', '.join(_FORMATS)}")
    data = []
    for index, text in enumerate(texts):
        packed = struct.pack(f"<{size}f", *_vector(text, size, server_seed))
        # As 32-bit figures in either form.
        value = b64encode(packed).decode() if form == "base64" else list(struct.unpack(f"<{size}f", packed))
        data.append({"object": "embedding", "index": index, "embedding": value})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return orjson.dumps({"object": "list", "data": data, "model": model.id, "usage": usage})


def _vector(text: str, size: int, server_seed: int) -> Sequence[float]:
    words = text.casefold().split()[:_MOST_WORDS] or [""]
    total = [0.0] * size
    for word in words:
        dice = dice_for(b"embedding", str(server_seed).encode(), word.encode("utf-8", "surrogatepass"))
        for place in range(size):
            total[place] += dice.gauss(0.0, 1.0)
    length = sqrt(sum(figure * figure for figure in total))
    return [figure / length for figure in total]
