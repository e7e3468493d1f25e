"""Takes detail out of embeddings: fewer decimals, and keyed noise that is the same for everyone in a campaign.

Laws: a vector keeps its length, its place and its format; one that cannot be read is never passed on as it came.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from proxy.actions.blur import Blur
from proxy.errors import UpstreamFailed
from proxy.exchange import Chunk
from proxy.keyed.vectors import Vectors, turned
from proxy.wire import Kind, Part, Path, Wire, edited, value_at

_FLOAT = np.dtype("<f4")  # the numbers that are in base64
_PLAIN_DECIMALS = 9


class VectorFilter:
    """The transform; `key` determines how vectors are turned."""

    def __init__(self, wire: Wire, blur: Blur, key: bytes) -> None:
        self.changed = False
        self.takes_sayings = False
        self._wire = wire
        self._blur = blur
        self._key = key

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return the chunk with less detailed vectors. Raises UpstreamFailed for vectors that cannot be read."""
        by_size: dict[int, list[tuple[Part, bool, Vectors]]] = defaultdict(list)
        for part in self._wire.parts(chunk):
            if part.kind is Kind.VECTOR:
                value = value_at(chunk, part.path)
                vector = _read(value)
                by_size[len(vector)].append((part, type(value) is str, vector))
        edits: dict[Path, Any] = {}
        for group in by_size.values():
            made = self._blurred(np.stack([vector for _, _, vector in group]))
            for (part, packed, _), vector in zip(group, made, strict=True):
                value = _packed(vector) if packed else vector.tolist()
                if value != value_at(chunk, part.path):
                    edits[part.path] = value
        self.changed = self.changed or bool(edits)
        yield edited(chunk, edits) if edits else chunk

    def end(self) -> Sequence[Chunk]:
        """Return nothing: nothing was held back."""
        return ()

    def _blurred(self, vectors: Vectors) -> Vectors:
        decimals, degrees = self._blur
        if degrees is not None:
            vectors = turned(vectors, self._key, degrees)
        # Adding zero turns -0.0 into 0.0, which is written without a sign.
        return np.round(vectors, _PLAIN_DECIMALS if decimals is None else decimals) + 0.0


def _read(value: Any) -> Vectors:  # noqa: ANN401 - a part of a JSON document
    try:
        if type(value) is str:
            return np.frombuffer(b64decode(value, validate=True), _FLOAT).astype(np.float64)
        if type(value) is list and set(map(type, value)) <= {int, float}:
            return np.array(value, np.float64)
    except (binascii.Error, ValueError, OverflowError):
        pass
    raise UpstreamFailed("The model API sent an embedding that cannot be passed on.")


def _packed(vector: Vectors) -> str:
    return b64encode(vector.astype(_FLOAT).tobytes()).decode()
