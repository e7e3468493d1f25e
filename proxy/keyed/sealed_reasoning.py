"""Seals blocks of reasoning into handles that only their tenant can use, and opens them when they come back.

A handle stands in an answer for a withheld block. Nothing is stored: it holds the block itself, encrypted with a key
that every replica derives.
Laws:
- A handle reveals how long its block is, and whether two handles were given to the same tenant; nothing else.
- It opens for its own tenant only, and not at all if anything in it was changed.
- What handles hold is at most `_MAX_RATIO` times their own length, and bounded for each request.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

from proxy.errors import TooLarge, UpstreamFailed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX: Final = "sgr1."
MAX_BLOCK_BYTES: Final = 1 << 20  # some 250,000 tokens, more than any model thinks at once; 40 ms to compress
_MAX_OPENED_BYTES = 16 << 20  # of all blocks of one request: more than a request may have by default
_MAX_RATIO = 32  # what compresses better is no prose, and is not compressed: a short handle is never a long text
_LEVEL = 1  # the fastest halves prose; the best level saves a tenth more in five times the time
_NONCE_BYTES = 12
_OWNER_BYTES = 16
_TAG_BYTES = 16
_HEAD_BYTES = _NONCE_BYTES + _OWNER_BYTES
_PLAIN, _PRESSED = b"j", b"z"
_KINDS = (str, int, float, bool, type(None))


class SealedReasoning:
    """The handles of one tenant, in one exchange. `foreign` says whether another tenant's handle was met.

    They are sealed under `key`, and opened also if they were sealed under one of `others`.
    """

    def __init__(self, key: bytes, tenant: str, others: Sequence[bytes] = ()) -> None:
        self._key = key
        self._tenant = tenant
        self._others = others
        self._owner = self._owner_under(key)
        self._left = _MAX_OPENED_BYTES
        self.foreign = False

    def seal(self, block: Mapping[str, Any]) -> str:
        """Return the handle of a block; only members that are no containers are kept: no API has others.

        Raises UpstreamFailed if the block is larger than MAX_BLOCK_BYTES.
        """
        kept = {name: value for name, value in block.items() if type(value) in _KINDS}
        try:
            document = orjson.dumps(kept)
        except orjson.JSONEncodeError:  # half of a surrogate pair: a model was cut off in the middle of a character
            document = json.dumps(kept).encode()
        if len(document) > MAX_BLOCK_BYTES:
            raise UpstreamFailed("The model API sent more reasoning than can be passed on.")
        pressed = zlib.compress(document, _LEVEL)
        fits = len(pressed) < len(document) <= _MAX_RATIO * len(pressed)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, _PRESSED + pressed if fits else _PLAIN + document, _bound(self._owner))
        return PREFIX + base64.b64encode(nonce + self._owner + sealed).decode()

    def open(self, handle: str) -> dict[str, Any] | None:
        """Return the block of a handle, None if it was not given to this tenant. Raises TooLarge."""
        sealed = _decoded(handle)
        owner = sealed[_NONCE_BYTES:_HEAD_BYTES]
        key, opened = self._key, _opened(self._cipher, sealed)
        others = iter(self._others)
        while opened is None and (other := next(others, None)) is not None:
            key, opened = other, _opened(_cipher_of(other), sealed)
        if opened is None:
            return None
        # We give nobody a false handle, so these need no comparison in constant time.
        if owner != (self._owner if key is self._key else self._owner_under(key)):
            self.foreign = True
            return None
        document = self._unpressed(opened)
        self._left -= len(document)
        if self._left < 0:
            raise TooLarge("The reasoning that the request returns is too large.")
        try:
            block: dict[str, Any] = orjson.loads(document)
        except orjson.JSONDecodeError:  # half of a surrogate pair, which no request may have
            return None
        return block

    @cached_property
    def _cipher(self) -> AESGCM:
        return _cipher_of(self._key)

    def _owner_under(self, key: bytes) -> bytes:
        tenant = self._tenant.encode("utf-8", "surrogatepass")
        return blake2b(tenant, digest_size=_OWNER_BYTES, key=key, person=b"reasoning owner").digest()

    @staticmethod
    def _unpressed(opened: bytes) -> bytes:
        if opened[:1] == _PLAIN:
            return opened[1:]
        # Only we can have compressed it, and never more than this; one more byte would show a mistake of ours.
        document = zlib.decompressobj().decompress(opened[1:], MAX_BLOCK_BYTES + 1)
        if len(document) > MAX_BLOCK_BYTES:
            raise TooLarge("The reasoning that the request returns is too large.")
        return document


def _cipher_of(key: bytes) -> AESGCM:
    # Imported here because it is large, see `proxy.secrets`; packs are also read where nothing is sealed.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see above

    return AESGCM(key)


def _opened(cipher: AESGCM, sealed: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above

    if len(sealed) <= _HEAD_BYTES + _TAG_BYTES:
        return None
    try:
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_HEAD_BYTES:], _bound(sealed[_NONCE_BYTES:_HEAD_BYTES]))
    except InvalidTag:
        return None


def _bound(owner: bytes) -> bytes:
    return PREFIX.encode() + owner


def _decoded(handle: str) -> bytes:
    """Return the bytes of a handle, empty if it is no handle."""
    try:
        return base64.b64decode(handle.removeprefix(PREFIX), validate=True) if handle.startswith(PREFIX) else b""
    except (binascii.Error, ValueError):
        return b""
