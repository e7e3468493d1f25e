"""The key that vouches for a log, and notes signed with it: Ed25519, in the format of C2SP's signed-note
(https://github.com/C2SP/C2SP/blob/main/signed-note.md).

Law: no message, repr or exception here shows a private key or a part of one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from proxy.errors import ConfigurationError
from proxy.secrets import make_secret_file, open_to_others, read_secret_file

_ED25519: Final = b"\x01"
_PRIVATE: Final = "PRIVATE+KEY+"
_NAME: Final = re.compile(r"[A-Za-z0-9._/-]{1,80}")
_SEED_BYTES: Final = 32
_HANDOVER: Final = "stillgate.log.key/v1"


class Signer:
    """A named key that signs notes."""

    __slots__ = ("_key", "_key_id", "name", "public")

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        raw = _ED25519 + self._key.public_key().public_bytes_raw()
        self._key_id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        self.name = name
        # What a verifier is given.
        self.public = f"{name}+{self._key_id.hex()}+{base64.b64encode(raw).decode()}"

    def sign(self, text: str) -> str:
        """Return a note: the text, which must end with a newline, an empty line, and the signature's line."""
        signature = base64.b64encode(self._key_id + self._key.sign(text.encode())).decode()
        return f"{text}\n\u2014 {self.name} {signature}\n"


def new_private_key(name: str) -> str:
    """Return the text of a new private key. Raises ConfigurationError for a name that a note cannot carry."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError("a log key's name is 1 to 80 letters, digits and . _ / -")
    seed = secrets.token_bytes(_SEED_BYTES)
    key_id = Signer(name, seed).public.split("+")[1]
    return f"{_PRIVATE}{name}+{key_id}+{base64.b64encode(_ED25519 + seed).decode()}"


def load_signer(path: Path) -> Signer:
    """Read a private key. Raises ConfigurationError, which shows nothing of the key."""
    text = read_secret_file(path)
    if open_to_others(path.stat()):
        raise ConfigurationError(f"{path}: others than its owner may read the log's key; run: chmod 600 {path}")
    parts = text.removeprefix(_PRIVATE).split("+", 2)
    try:
        seed = base64.b64decode(parts[2], validate=True) if text.startswith(_PRIVATE) else b""
    except (IndexError, binascii.Error):
        seed = b""
    if len(seed) != 1 + _SEED_BYTES or seed[:1] != _ED25519 or not _NAME.fullmatch(parts[0]):
        raise ConfigurationError(f"{path}: is not a log's private key; `stillgate log keygen` makes one")
    signer = Signer(parts[0], seed[1:])
    if signer.public.split("+")[1] != parts[1]:
        raise ConfigurationError(f"{path}: the private key does not belong to its name: it was damaged or edited")
    return signer


def load_or_create_signer(path: Path, name: str) -> Signer:
    """Read the private key, making one first if there is none; processes that start together agree on one."""
    try:
        if not path.exists():
            make_secret_file(path, new_private_key(name).encode() + b"\n")
    except OSError as error:
        raise ConfigurationError(f"{path}: the log's key cannot be made: {error.strerror}") from None
    return load_signer(path)


def handover_file(path: Path) -> Path:
    """Return the file of the note in which the previous key vouches for the key at `path`."""
    return path.with_name(path.name + ".handover")


def rotate(path: Path) -> tuple[Signer, Signer]:
    """Replace the key at `path` by a new one, which the old one vouches for; return both.

    Running writers use it from their next checkpoint on. The old private key is gone then: keep its public key, which
    verifies what it signed. Raises ConfigurationError, also if the key is another user's, whose proxy could not read
    the new one.
    """
    old = load_signer(path)
    if path.stat().st_uid != os.geteuid():
        raise ConfigurationError(f"{path}: belongs to another user, who could not read what took its place")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        make_secret_file(draft, new_private_key(old.name).encode() + b"\n")
        new = load_signer(draft)
        note = handover_file(path)
        note_draft = note.with_name(f".{note.name}.draft")
        note_draft.write_text(old.sign(f"{_HANDOVER}\nnext {new.public}\n"), encoding="utf-8")
        # The note first, so that a writer that sees the new key finds what vouches for it.
        note_draft.replace(note)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigurationError(f"{path}: the log's key cannot be replaced: {error.strerror}") from None
    return old, new
