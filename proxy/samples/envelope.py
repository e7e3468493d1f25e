"""A sample as it lies on the disk: sealed with HPKE (RFC 9180: X25519, HKDF-SHA256, AES-256-GCM) to a public key.

Laws: each sample has a key of its own, kept only in a form that the private key alone opens; exchange, time and key are
bound to the content, so that no sample can be passed off as another exchange's. Sealing does not prove who sealed: the
digest in the decision log shows that a sample is the one that was taken.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final, NamedTuple

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from proxy.errors import ConfigurationError, StillgateError
from proxy.keyed.sample_keys import SampleKey
from proxy.samples.excerpt import Content, Excerpt

_VERSION: Final = 1
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MEMBERS: Final = {"v": int, "exchange": str, "time": str, "key": str, "sealed": str}


class Unreadable(StillgateError):
    """A sample that does not open; the message is for whoever tries."""


class Envelope(NamedTuple):
    """One sealed sample: its exchange, when that was accepted (RFC 3339), and the id of the key that opens it."""

    exchange: str
    time: str
    key: str
    sealed: bytes

    @property
    def digest(self) -> str:
        """The digest by which the decision log names it."""
        return hashlib.sha256(self.sealed).hexdigest()

    def line(self) -> bytes:
        """Return it as a line of a file."""
        row = {"v": _VERSION, "exchange": self.exchange, "time": self.time, "key": self.key}
        row["sealed"] = base64.b64encode(self.sealed).decode()
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def read(cls, line: bytes) -> Envelope:
        """Return what a line holds. Raises ValueError for one that is no sample."""
        row = orjson.loads(line)
        if not isinstance(row, dict) or {name: type(value) for name, value in row.items()} != _MEMBERS:
            raise ValueError("is not a sample")
        if row["v"] != _VERSION:
            raise ValueError("is a sample of another version")
        try:
            sealed = base64.b64decode(row["sealed"], validate=True)
        except binascii.Error:
            raise ValueError("is not a sample") from None
        return cls(row["exchange"], row["time"], row["key"], sealed)


class Sealer:
    """Seals samples to one public key; cannot open them."""

    def __init__(self, key: SampleKey) -> None:
        """Raise ConfigurationError for a key to which nothing can be sealed, such as zeros."""
        self._key_id = key.id
        self._public = X25519PublicKey.from_public_bytes(key.raw)
        try:
            self.seal("", "", Content("", Excerpt([], [], whole=True), None, answer_whole=True))
        except ValueError:
            raise ConfigurationError("decision_log.samples.public_key: nothing can be sealed to this key") from None

    def seal(self, exchange: str, time: str, content: Content) -> Envelope:
        """Return an exchange's sample, sealed; takes some 400 microseconds, which hardly depend on its size."""
        sealed = _SUITE.encrypt(orjson.dumps(content.document()), self._public, _bound(exchange, time, self._key_id))
        return Envelope(exchange, time, self._key_id, sealed)


def unseal(envelope: Envelope, key: SampleKey) -> Content:
    """Return the content of a sample. Raises Unreadable if this is not its key, or it is not as it was sealed."""
    if envelope.key != key.id:
        raise Unreadable(f"the sample of {envelope.exchange} is sealed to the key {envelope.key}, this is {key.id}")
    private = X25519PrivateKey.from_private_bytes(key.raw)
    try:
        plain = _SUITE.decrypt(envelope.sealed, private, _bound(envelope.exchange, envelope.time, envelope.key))
        return Content.read(orjson.loads(plain))
    except (InvalidTag, ValueError):
        raise Unreadable(
            f"the sample of {envelope.exchange} does not open: it was edited, cut, or belongs to another exchange"
        ) from None


def _bound(*facts: str) -> bytes:
    """Return what a sample is bound to, so that no two lists of facts give the same bytes."""
    return orjson.dumps(["stillgate.sample", _VERSION, *facts])
