"""Turns vectors a little, by a key: lengths stay, and what vectors have in common is blurred.

Laws:
- The same key turns the same vector in the same way, and near vectors in nearly the same way: asking again, for
  variants of a text or for a few dimensions less reveals no more of the noise. Unlike vectors are turned independently.
- A turned vector keeps its length, and has exactly the angle to the original that was asked for.
How to turn is a smooth random function of a vector's direction: waves along random axes, each of which adds its own
random step (Rahimi and Recht, "Random features for large-scale kernel machines", 2007). One fixed rotation would not
do: it leaves all angles between vectors as they are, and a copier learns from those.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from math import cos, radians, sin, tau
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float64]  # one a row

_WAVES: Final = 64
# For two directions d apart, the noise agrees by about exp(-(3 d)^2 / 2): 96 % at 0.1, where one blank more or less
# leads, 1 % at 1, where two texts have nothing to do with each other.
_WAVES_PER_UNIT: Final = 3.0
_KEPT: Final = 4  # cached ways to turn: 8 MB each for the longest vectors that can be asked for


def turned(vectors: Vectors, key: bytes, degrees: float) -> Vectors:
    """Return vectors turned by an angle; those of no length, or that are not finite, stay as they are."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    sound = np.isfinite(lengths) & (lengths > 0)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=sound)
    axes, phases, steps = _ways(key, vectors.shape[1])
    aside = np.cos(units @ axes + phases) @ steps
    aside -= np.sum(aside * units, axis=1, keepdims=True) * units
    far = np.linalg.norm(aside, axis=1, keepdims=True)
    sound &= far > 0  # in one dimension there is no other direction
    aside = np.divide(aside, far, out=np.zeros_like(aside), where=sound)
    angle = radians(degrees)
    return np.where(sound, lengths * (cos(angle) * units + sin(angle) * aside), vectors)


@lru_cache(_KEPT)
def _ways(key: bytes, dimensions: int) -> tuple[Vectors, Vectors, Vectors]:
    # Drawn dimension by dimension, so that a shortened vector, as can be asked for, is turned like the beginning of the
    # whole.
    axes = _random(key, b"axes").standard_normal((dimensions, _WAVES)) * _WAVES_PER_UNIT
    phases = _random(key, b"phases").uniform(0, tau, _WAVES)
    return axes, phases, np.ascontiguousarray(_random(key, b"steps").standard_normal((dimensions, _WAVES)).T)


def _random(key: bytes, what: bytes) -> np.random.Generator:
    seed = blake2b(what, key=key, digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(seed)))
