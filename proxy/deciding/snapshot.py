"""A file of what a process must know of the store to start without it: flags, campaigns and keys.

Laws:
- A snapshot is whole or not used: its first line has the digest of the rest.
- Its age counts from when it was last known to be what the store has; a second file says when, so that the large one is
  left alone while nothing changes in the store.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from proxy.auth.key_cache import KEYS_TABLE
from proxy.files.whole_file import write_whole
from proxy.rules.campaigns.rows import CAMPAIGNS_TABLE, PARTS_TABLE
from proxy.rules.flags.rows import CONFIRMATIONS_TABLE, FLAGS_TABLE, LIFTS_TABLE
from proxy.store.base import Row

# Lifts are read after the flags that they lift, so that no snapshot has a flag without its lift.
TABLES: Final = (FLAGS_TABLE, CONFIRMATIONS_TABLE, LIFTS_TABLE, CAMPAIGNS_TABLE, PARTS_TABLE, KEYS_TABLE)
BYTES_MAX: Final = 64 << 20

_ROWS, _AS_OF = "rows", "as_of"
_KIND = b"stillgate-snapshot-1"


class Unusable(Exception):
    """A snapshot that is not whole, too old a version, or none at all."""


class Remembered(NamedTuple):
    """What the store held at a moment, in Unix seconds."""

    rows: tuple[Row, ...]
    at: float

    def of(self, *tables: str) -> list[Row]:
        """Return the rows of some tables."""
        return [row for row in self.rows if row.table in tables]


def encoded(rows: Iterable[Row]) -> bytes:
    """Return a snapshot's bytes; equal rows have equal bytes, in whatever order they come. Raises Unusable if large."""
    lines = sorted(orjson.dumps([row.table, row.name, base64.b64encode(row.value or b"").decode()]) for row in rows)
    body = b"".join([line + b"\n" for line in lines])
    if len(body) > BYTES_MAX:
        raise Unusable(f"{len(body)} bytes are more than a snapshot may have")
    return b"%b %b\n%b" % (_KIND, hashlib.sha256(body).hexdigest().encode(), body)


def digest_of(data: bytes) -> str:
    """Return the digest in a snapshot's first line, by which the second file names it."""
    return data[: data.index(b"\n")].rpartition(b" ")[2].decode()


def write_rows(folder: Path, data: bytes) -> None:
    """Put a snapshot into place whole. Raises OSError."""
    _put(folder / _ROWS, data)


def write_as_of(folder: Path, digest: str, at: float) -> None:
    """Say at which moment the store was known to hold a snapshot. Raises OSError."""
    _put(folder / _AS_OF, orjson.dumps({"digest": digest, "at": at}))


def read(folder: Path, now: float) -> Remembered:
    """Return the snapshot. Raises Unusable, also if it is from after `now`, which is wall time."""
    try:
        with (folder / _ROWS).open("rb") as file:
            head, body = file.readline(200), file.read(BYTES_MAX + 1)
        as_of = orjson.loads((folder / _AS_OF).read_bytes())
        digest, at = as_of["digest"], float(as_of["at"])
    except FileNotFoundError:
        raise Unusable("there is none") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Unusable(f"it cannot be read: {error}") from None
    if head != b"%b %b\n" % (_KIND, hashlib.sha256(body).hexdigest().encode()):
        raise Unusable("it is not whole")
    if digest_of(head) != digest or at > now:
        raise Unusable("it does not say how old it is")
    return Remembered(tuple(_rows(body)), at)


def _rows(body: bytes) -> Sequence[Row]:
    found = (orjson.loads(line) for line in body.splitlines())
    return [Row(table, name, base64.b64decode(value)) for table, name, value in found]


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, data)
