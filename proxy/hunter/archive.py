"""Named arrays as bytes: what a checkpoint is made of. Nothing in it is executed when it is read."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BETWEEN = "/"
# What numpy and zipfile raise for bytes that they did not write.
_DAMAGED = (
    OSError,
    EOFError,
    AttributeError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def pack_arrays(parts: Mapping[str, Mapping[str, NDArray[Any]]]) -> bytes:
    """Return the arrays of all parts, as numpy's own archive."""
    held = io.BytesIO()
    named = {f"{part}{_BETWEEN}{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
    np.savez(held, allow_pickle=False, **named)
    return held.getvalue()


def unpack_arrays(data: bytes) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the arrays given to `pack_arrays`. Raises ValueError for other bytes."""
    parts: dict[str, dict[str, NDArray[Any]]] = defaultdict(dict)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            for named in archive.files:
                part, _, name = named.partition(_BETWEEN)
                parts[part][name] = archive[named]
    except _DAMAGED as error:
        raise ValueError("is no archive of arrays") from error
    return dict(parts)


def pack_names(names: Sequence[str]) -> NDArray[np.uint8]:
    """Return strings as one array: numpy's string arrays drop NULs, and take the longest one's size for each."""
    return np.frombuffer(json.dumps(list(names)).encode(), np.uint8)


def unpack_names(array: NDArray[Any]) -> list[str]:
    """Return the strings given to `pack_names`. Raises ValueError for another array."""
    try:
        names = json.loads(array.astype(np.uint8).tobytes())
    except ValueError as error:
        raise ValueError("are no names") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("are no names")
    return names
