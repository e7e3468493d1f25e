"""Secrets from files: the master secret with the keys derived from it, and the credentials of others.

Law: no message, repr or exception here shows a secret or a part of one.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import stat
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from proxy.errors import ConfigurationError

_MASTER_BYTES = 32
_MAX_FILE_BYTES = 8192
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")  # a token of RFC 9110
# 32 random bytes have about 30 different values; fewer than this many is no accident but a default or a pattern.
_LEAST_DIFFERENT_BYTES = 16


class Purpose(StrEnum):
    """What a derived key is for; each purpose has its own, so that none can stand in for another."""

    KEY_DIGEST = "key-digest"
    MEMBERS = "members"  # what signals count distinct
    SEALS = "seals"  # of reasoning blocks
    PRINTS = "prints"  # of prompts
    LINKS = "links"  # what links accounts
    MARKS = "marks"  # in answers, by campaign
    VECTORS = "vectors"  # how they are turned, by campaign
    PACE = "pace"  # the unevenness of answers that are slowed
    REASONING = "reasoning"  # that is withheld, and comes back sealed
    ISSUED_IDS = "issued-ids"  # of what upstreams keep
    SAMPLES = "samples"  # which exchanges are taken for one
    STORE = "store"  # which is used with this master secret: it holds the derived key itself
    IDEMPOTENCY = "idempotency"  # keys of clients, and what they were sent with
    ADMIN_TOKEN_DIGEST = "admin-token-digest"  # noqa: S105 - a purpose's name, no secret


class Master:
    """The secret that every key of this deployment is derived from."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def derive(self, purpose: Purpose) -> bytes:
        """Return the 32 byte key for one purpose (HKDF-SHA256, RFC 5869): the same on every replica."""
        # Imported here because it costs 7 MB and 20 ms, which the command line mostly has no use for.
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 - see above

        info = f"stillgate/v1/{purpose}".encode()
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self._secret)


def load_or_create_master(path: Path) -> Master:
    """Read the master secret, making it first if there is none: 32 random bytes as base64, for its owner only.

    Processes that start at the same time agree on one secret. Raises ConfigurationError with the fix.
    """
    try:
        if not path.exists():
            make_secret_file(path, base64.b64encode(secrets.token_bytes(_MASTER_BYTES)) + b"\n")
    except OSError as error:
        raise ConfigurationError(f"{path}: the master secret cannot be read or made: {error.strerror}") from None
    return load_master(path)


def load_master(path: Path) -> Master:
    """Read the master secret. Raises ConfigurationError with the fix."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: the master secret cannot be read: {error.strerror}") from None
    if open_to_others(found):
        raise ConfigurationError(f"{path}: others than its owner may read the master secret; run: chmod 600 {path}")
    try:
        secret = base64.b64decode(data.strip(), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) < _MASTER_BYTES or len(set(secret)) < _LEAST_DIFFERENT_BYTES:
        raise ConfigurationError(
            f"{path}: is no master secret ({_MASTER_BYTES} or more random bytes as base64); restore it from a backup, "
            "or delete it to have a new one made, which ends every key in use"
        )
    return Master(secret)


def open_to_others(found: os.stat_result) -> bool:
    """Tell whether others than its owner may read or change a secret's file.

    Kubernetes gives a mounted secret to root, and the pod's group may read it: nobody else is in that.
    """
    given = 0o040 if found.st_uid == 0 and os.geteuid() != 0 else 0
    return bool(stat.S_IMODE(found.st_mode) & 0o077 & ~given)


def read_secret_file(path: Path) -> str:
    """Return the secret that a file holds, without the newline at its end; raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: the secret cannot be read: {error.strerror}") from None
    if len(data) > _MAX_FILE_BYTES:
        raise ConfigurationError(f"{path}: is larger than {_MAX_FILE_BYTES} bytes and so no secret")
    try:
        secret = data.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from None
    if not secret:
        raise ConfigurationError(f"{path}: is empty")
    if not secret.isprintable():
        raise ConfigurationError(f"{path}: has control characters or more than one line")
    return secret


def read_header_file(path: Path) -> tuple[str, str]:
    """Return the name and the value of the header that a file holds; raises ConfigurationError."""
    name, _, value = read_secret_file(path).partition(":")
    if not _HEADER_NAME.fullmatch(name) or not value.strip() or not value.isascii():
        raise ConfigurationError(f"{path}: holds no header such as authorization: Bearer ...")
    return name, value.strip()


def make_secret_file(path: Path, content: bytes) -> None:
    """Make a file with mode 0600, written beside its place and linked into it whole: whoever comes second keeps the
    first one's. Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
