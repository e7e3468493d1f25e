"""Keeps the hunter's state together with its position in the stream: in a file, or in pieces in a shared store.

With the embedded store it is a file, since each checkpoint would swell the store's append-only file. In a shared store,
a row that names the pieces is written after them. Limits: a state in the store is at most `MOST_BYTES`, and the store
needs room for two of them.

Laws: `load` returns exactly what one `save` wrote, or nothing. If two hunters believe that they are active, the one
that began later wins.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import orjson

from proxy.errors import StoreUnavailable
from proxy.files.whole_file import write_whole
from proxy.log import get
from proxy.store.base import Row, Store

CHECKPOINTS_TABLE = "hunter_checkpoints"
STATE_TABLE = "hunter_state"
MOST_BYTES = 2 << 30

_PIECE_BYTES = 1 << 20  # the server is busy with it for a millisecond or two
_MAGIC = b"stillgate hunter 1\n"


class Checkpoint(NamedTuple):
    """A state, and the position in the stream of events up to which it has seen events."""

    position: str
    state: bytes


class CheckpointLost(Exception):
    """A checkpoint could not be written; the one before it stands."""


class Checkpoints(Protocol):
    """Where one deployment's checkpoints are."""

    async def load(self) -> Checkpoint | None:
        """Return the last checkpoint that is whole, None if there is none. Raises StoreUnavailable."""
        ...

    async def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint in place of the last one. Raises CheckpointLost, StoreUnavailable."""
        ...


class FileCheckpoints:
    """One file, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def load(self) -> Checkpoint | None:
        """Read the file."""
        try:
            return await asyncio.to_thread(self._read)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            get("hunter").error("the checkpoint cannot be used; the hunter begins anew", error=str(error))
            return None

    async def save(self, checkpoint: Checkpoint) -> None:
        """Write a new file, then put it in the place of the old one."""
        try:
            await asyncio.to_thread(self._write, checkpoint)
        except OSError as error:
            raise CheckpointLost(f"{error.filename or self._path}: {error.strerror}") from None

    def _read(self) -> Checkpoint:
        with self._path.open("rb") as file:
            if file.readline() != _MAGIC:
                raise ValueError("it is of another version")
            head = orjson.loads(file.readline())
            state = file.read()
        return _whole(head, state)

    def _write(self, checkpoint: Checkpoint) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._path, _MAGIC, orjson.dumps(_head(checkpoint)), b"\n", checkpoint.state)


class StoreCheckpoints:
    """Rows of the store. A `save` first claims a number, by which its pieces are found if it dies."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def load(self) -> Checkpoint | None:
        """Return the last checkpoint that is whole."""
        for number, head in sorted((await self._heads()).items(), reverse=True):
            if not head.get("whole"):
                continue
            pieces = [await self._store.read(STATE_TABLE, f"{number}-{piece}") for piece in range(head["pieces"])]
            try:
                return _whole(head, b"".join(pieces))  # type: ignore[arg-type]  # a piece that is missing is a TypeError
            except (ValueError, KeyError, TypeError) as error:
                get("hunter").error("a checkpoint cannot be used", number=number, error=str(error))
        return None

    async def save(self, checkpoint: Checkpoint) -> None:
        """Write the pieces, then the row that names them, then drop the older pieces."""
        if len(checkpoint.state) > MOST_BYTES:
            raise CheckpointLost(f"the state has more than {MOST_BYTES} bytes")
        earlier = await self._heads()
        number = max(earlier, default=0) + 1
        pieces = -(-len(checkpoint.state) // _PIECE_BYTES)
        claim: dict[str, Any] = {"pieces": pieces, "whole": False}
        if not await self._store.write([_row(number, claim)], only_new=True):
            raise CheckpointLost("another hunter writes one as well")
        for piece in range(pieces):
            part = checkpoint.state[piece * _PIECE_BYTES : (piece + 1) * _PIECE_BYTES]
            await self._store.write([Row(STATE_TABLE, f"{number}-{piece}", part)])
        head = await asyncio.to_thread(_head, checkpoint)
        await self._store.write([_row(number, {**claim, **head, "whole": True})])
        try:
            for old, entry in earlier.items():
                await self._drop(old, int(entry["pieces"]))
        except StoreUnavailable:
            return  # the next one drops them

    async def _heads(self) -> dict[int, dict[str, Any]]:
        return {int(name): orjson.loads(value) async for name, value in self._store.scan(CHECKPOINTS_TABLE)}

    async def _drop(self, number: int, pieces: int) -> None:
        for piece in range(pieces):
            await self._store.write([Row(STATE_TABLE, f"{number}-{piece}", None)])
        await self._store.write([Row(CHECKPOINTS_TABLE, str(number), None)])


def _row(number: int, head: dict[str, Any]) -> Row:
    return Row(CHECKPOINTS_TABLE, str(number), orjson.dumps(head))


def _head(checkpoint: Checkpoint) -> dict[str, str]:
    return {"position": checkpoint.position, "sha256": hashlib.sha256(checkpoint.state).hexdigest()}


def _whole(head: dict[str, Any], state: bytes) -> Checkpoint:
    if hashlib.sha256(state).hexdigest() != head["sha256"]:
        raise ValueError("it is damaged")
    return Checkpoint(str(head["position"]), state)
