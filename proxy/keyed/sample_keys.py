"""The keys of samples: the public one is in the settings, the private one stays with those who review.

Laws: no message, repr or exception here shows a private key or a part of one; reading a public key does not load the
library that it is used with.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from pathlib import Path
from typing import Final, NamedTuple

from proxy.errors import ConfigurationError
from proxy.secrets import make_secret_file, open_to_others, read_secret_file

_PUBLIC: Final = "sample-key"
_PRIVATE: Final = "PRIVATE+SAMPLE+KEY"
_RAW_BYTES: Final = 32  # of either key, X25519


class SampleKey(NamedTuple):
    """The bytes of a key, and its name: a digest of the public one."""

    id: str
    raw: bytes


def read_public(text: str) -> SampleKey:
    """Return the public key that a text holds. Raises ValueError."""
    if text.startswith(_PRIVATE):
        raise ValueError(
            "is a private key, which is for those who review alone: make another one, and put its public half here"
        )
    try:
        word, key_id, encoded = text.split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        word, key_id, raw = "", "", b""
    if word != _PUBLIC or len(raw) != _RAW_BYTES or key_id != _id_of(raw):
        raise ValueError(f"should be a public key as `stillgate log keygen --samples` prints it, {_PUBLIC}+...")
    return SampleKey(key_id, raw)


def make_private(path: Path) -> str:
    """Make a private key with mode 0600 if there is none; return the text of its public one.

    Raises ConfigurationError.
    """
    raw = secrets.token_bytes(_RAW_BYTES)
    try:
        make_secret_file(path, f"{_PRIVATE}+{_id_of(_public_of(raw))}+{_encoded(raw)}\n".encode())
    except OSError as error:
        raise ConfigurationError(f"{path}: the key cannot be made: {error.strerror}") from None
    made = load_private(path)  # another one if somebody was faster
    return f"{_PUBLIC}+{made.id}+{_encoded(_public_of(made.raw))}"


def load_private(path: Path) -> SampleKey:
    """Return the private key in a file, under its public one's id. Raises ConfigurationError."""
    text = read_secret_file(path)
    if open_to_others(path.stat()):
        raise ConfigurationError(f"{path}: others than its owner may read the key of samples; run: chmod 600 {path}")
    key_id, _, encoded = text.removeprefix(f"{_PRIVATE}+").partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True) if text.startswith(_PRIVATE) else b""
    except binascii.Error:
        raw = b""
    if len(raw) != _RAW_BYTES:
        raise ConfigurationError(
            f"{path}: is not a private key for samples; `stillgate log keygen --samples FILE` makes one"
        )
    if _id_of(_public_of(raw)) != key_id:
        raise ConfigurationError(f"{path}: the private key does not belong to its id: it was damaged or edited")
    return SampleKey(key_id, raw)


def _public_of(raw: bytes) -> bytes:
    # Imported here: every verb reads settings, but few need this.
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 - see above

    return X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()


def _id_of(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:8]


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
