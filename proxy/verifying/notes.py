"""Signed notes as others may read them: C2SP's signed-note with Ed25519, and what the notes of a log say.

https://github.com/C2SP/C2SP/blob/main/signed-note.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_BODY: Final = "stillgate.log/v1"
_HANDOVER: Final = "stillgate.log.key/v1"
_WRAPPED: Final = '{"checkpoint":'
_MOST_CHARS: Final = 65_536  # of what stands between two beginnings, far more than a note has
_ED25519: Final = b"\x01"
_SIGNATURE: Final = re.compile("\u2014 ([^ +\n]+) ([A-Za-z0-9+/=]+)\n")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class NoteError(ValueError):
    """A note that says nothing that could be believed."""


class UnknownKey(NoteError):
    """A note whose signature is by no key that is trusted."""


class Position(NamedTuple):
    """Where a chain stood: its writer, the number of a line, and that line's digest."""

    writer: str
    seq: int
    digest: str


class Checkpoint(NamedTuple):
    """What a checkpoint says: its own number in its chain, the line before it, and where other writers stood."""

    writer: str
    seq: int
    prev: str
    time: str
    version: str
    others: tuple[Position, ...]


class Keys:
    """The public keys that are trusted, by their names and ids."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, bytes], Ed25519PublicKey] = {}

    def trust(self, text: str) -> None:
        """Trust a public key, written as `name+id+base64`. Raises NoteError."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            raw, said = _decoded(encoded), bytes.fromhex(key_id)
        except ValueError:
            raw = said = b""
        if raw[:1] != _ED25519 or len(raw) != 33 or said != hashlib.sha256(f"{name}\n".encode() + raw).digest()[:4]:
            raise NoteError("is not a log's public key, which is name+id+base64")
        self._keys[name, said] = Ed25519PublicKey.from_public_bytes(raw[1:])

    def opened(self, note: str) -> str:
        """Return the text of a note that a trusted key signed. Raises NoteError, UnknownKey if it is another's."""
        text, separator, signatures = note.rpartition("\n\n")
        if not separator or not signatures or _SIGNATURE.sub("", signatures):
            raise NoteError("it is not a signed note")
        text += "\n"
        for name, encoded in _SIGNATURE.findall(signatures):
            raw = _decoded(encoded)
            key = self._keys.get((name, raw[:4]))
            if key is None:
                continue
            try:
                key.verify(raw[4:], text.encode())
            except InvalidSignature:
                raise NoteError("its signature does not fit what it says") from None
            return text
        raise UnknownKey("it is signed by no key that is trusted")

    def hand_over(self, note: str) -> None:
        """Trust the key that a trusted one vouches for. Raises NoteError."""
        head, *facts = self.opened(note).splitlines()
        if head != _HANDOVER or len(facts) != 1 or not facts[0].startswith("next "):
            raise NoteError("it hands over no key")
        self.trust(facts[0].removeprefix("next "))


def _decoded(text: str) -> bytes:
    """Decode base64 in the one way of writing it: other bits behind the last byte would be another text."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raw = b""
    if base64.b64encode(raw).decode() != text:
        raise NoteError("its signature is not base64")
    return raw


def read_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint's note. Raises NoteError."""
    head, *lines = text.removesuffix("\n").split("\n")
    names = [line.partition(" ")[0] for line in lines]
    if head != _BODY or names[:5] != ["writer", "seq", "prev", "time", "version"] or set(names[5:]) - {"other"}:
        raise NoteError("it is not a checkpoint of a log")
    writer, seq, prev, time, version = (line.partition(" ")[2] for line in lines[:5])
    if not seq.isdecimal() or not _DIGEST.fullmatch(prev):
        raise NoteError("its numbers cannot be read")
    return Checkpoint(writer, int(seq), prev, time, version, tuple(map(_position, lines[5:])))


def _position(line: str) -> Position:
    parts = line.split(" ")
    if len(parts) != 4 or not parts[2].isdecimal() or not _DIGEST.fullmatch(parts[3]):
        raise NoteError("what it says of other writers cannot be read")
    return Position(parts[1], int(parts[2]), parts[3])


def split_notes(lines: Iterable[str]) -> Iterator[str]:
    """Yield the notes among lines that hold them one after the other, as they are or as lines of standard output.

    What else a process says between such lines is passed over: containers and journals keep all its output together.
    """
    note: list[str] = []
    length = 0
    wrapped: bool | None = None  # whether the last note was; None before the first
    for line in lines:
        if line.startswith(_WRAPPED):
            if wrapped is False:
                yield from _whole(note)
            yield _unwrapped(line.rstrip("\n"))
            wrapped = True
        elif line.rstrip("\n") == _BODY:
            if not wrapped:
                yield from _whole(note)
            note, length, wrapped = [line], len(line), False
        elif not wrapped and length < _MOST_CHARS:
            note.append(line)
            length += len(line)
    if not wrapped:
        yield from _whole(note)


def _whole(lines: Sequence[str]) -> Iterator[str]:
    text = "".join(lines)
    if text.strip():
        yield text.rstrip("\n") + "\n"


def _unwrapped(line: str) -> str:
    """Return the note within a line of standard output; whatever else is within one is no note."""
    try:
        note = json.loads(line)["checkpoint"]
    except (ValueError, RecursionError):
        note = None
    return note if isinstance(note, str) else line
