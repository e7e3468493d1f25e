"""Secrets from files: the master secret with the keys derived from it, and the credentials of others.

Laws:
- No message, repr or exception here shows a secret or a part of one.
- The names in the store and in the log are derived from the first secret of the file, for good, so that a rotation
  loses no key, count or campaign. What customers get, and could read, forge or undo with a secret that leaked, is
  derived from the secret in force.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from proxy.errors import ConfigurationError

_MASTER_BYTES = 32
_MAX_FILE_BYTES = MASTER_FILE_BYTES = 8192
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")  # a token of RFC 9110
# 32 random bytes have about 30 different values; fewer than this many is no accident but a default or a pattern.
_LEAST_DIFFERENT_BYTES = 16
_MOMENT = re.compile(r"-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_ID_BYTES = 4


class Purpose(StrEnum):
    """What a derived key is for; each purpose has its own, so that none can stand in for another."""

    KEY_DIGEST = "key-digest"
    MEMBERS = "members"  # the values that signals count as distinct
    SEALS = "seals"  # names of seals of reasoning blocks
    PRINTS = "prints"  # fingerprints of prompts
    LINKS = "links"  # the attributes that link accounts
    MARKS = "marks"  # in answers, by campaign
    VECTORS = "vectors"  # how embeddings are turned, by campaign
    PACE = "pace"  # the unevenness of answers that are slowed
    REASONING = "reasoning"  # seals reasoning that is withheld, for the client to send back
    ISSUED_IDS = "issued-ids"  # tags of ids of what upstreams keep
    SAMPLES = "samples"  # which exchanges are sampled
    STORE = "store"  # tells whether a store is of this master secret: it holds the derived key itself
    IDEMPOTENCY = "idempotency"  # clients' keys, and the requests they came with
    ADMIN_TOKEN_DIGEST = "admin-token-digest"  # noqa: S105 - a purpose's name, no secret
    SECRET_ID = "secret-id"  # noqa: S105 - as above; what a secret is called by


_OF_THE_ONE_IN_FORCE = frozenset(
    {Purpose.MARKS, Purpose.VECTORS, Purpose.PACE, Purpose.REASONING, Purpose.ISSUED_IDS, Purpose.SAMPLES}
)


class State(StrEnum):
    """What a secret of the file is used for; the first has its lasting purposes besides."""

    NEXT = "next"  # what other replicas make under it is accepted; nothing is made under it yet
    IN_FORCE = "in-force"
    OLD = "old"  # what was made under it is still accepted
    RETIRED = "retired"  # only marks made under it are still found


@dataclass(frozen=True, slots=True)
class Kept:
    """One secret of the file; `since` when it is in this state, as ISO 8601 in UTC, or - where that is not known."""

    state: State
    since: str
    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """The name of the secret, which reveals nothing of it."""
        return _derived(self.secret, Purpose.SECRET_ID)[:_ID_BYTES].hex()


class Master:
    """The secrets that every key of this deployment is derived from; `kept` are all of the file, if it has several."""

    __slots__ = ("_kept", "_secret", "id")

    def __init__(self, secret: bytes, kept: Sequence[Kept] = ()) -> None:
        self._secret = secret
        self._kept = tuple(kept) or (Kept(State.IN_FORCE, "-", secret),)
        self.id = _derived(secret, Purpose.SECRET_ID)[:_ID_BYTES].hex()

    def derive(self, purpose: Purpose) -> bytes:
        """Return the 32 byte key for one purpose (HKDF-SHA256, RFC 5869): the same on every replica."""
        return _derived(self._secret if purpose in _OF_THE_ONE_IN_FORCE else self._kept[0].secret, purpose)

    def others(self, purpose: Purpose) -> tuple[bytes, ...]:
        """Return the keys under which other replicas make, or made, what is accepted here too; mostly none."""
        if purpose not in _OF_THE_ONE_IN_FORCE:
            return ()
        taken = (kept.secret for kept in self._kept if kept.state is not State.RETIRED)
        return tuple(_derived(secret, purpose) for secret in taken if secret != self._secret)

    @property
    def old(self) -> tuple[Kept, ...]:
        """The secrets under which what was made before is still accepted, until they are retired."""
        return tuple(kept for kept in self._kept if kept.state is State.OLD)

    def marks(self) -> dict[str, bytes]:
        """Return the keys of all marks ever made, by the ids of their secrets; the key in force has an empty name."""
        own = {"": self.derive(Purpose.MARKS)}
        others = {kept.id: _derived(kept.secret, Purpose.MARKS) for kept in self._kept if kept.secret != self._secret}
        return {**own, **others}


def _derived(secret: bytes, purpose: Purpose) -> bytes:
    # Imported here because it costs 7 MB and 20 ms, which the command line mostly has no use for.
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 - see above

    info = f"stillgate/v1/{purpose}".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


def load_or_create_master(path: Path) -> Master:
    """Read the master secret, making it first if there is none: 32 random bytes as base64, for its owner only.

    Processes that start at the same time agree on one secret. Raises ConfigurationError with the fix.
    """
    try:
        if not path.exists():
            make_secret_file(path, base64.b64encode(new_secret()) + b"\n")
    except OSError as error:
        raise ConfigurationError(f"{path}: the master secret cannot be read or made: {error.strerror}") from None
    return load_master(path)


def load_master(path: Path, in_force: str = "") -> Master:
    """Read the master secret; if the file has the id `in_force`, that one is in force, whatever the file says by now.

    Raises ConfigurationError with the fix.
    """
    kept = read_master_file(path)
    found = [each for each in kept if in_force and each.id == in_force] or [
        each for each in kept if each.state is State.IN_FORCE
    ]
    return Master(found[0].secret, kept)


def new_secret() -> bytes:
    """Return a new secret of random bytes."""
    return secrets.token_bytes(_MASTER_BYTES)


def read_master_file(path: Path) -> tuple[Kept, ...]:
    """Return every secret of the file, in its order. The file has one as base64, or a line each: state, moment, base64.

    Raises ConfigurationError with the fix.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: the master secret cannot be read: {error.strerror}") from None
    if open_to_others(found):
        raise ConfigurationError(f"{path}: others than its owner may read the master secret; run: chmod 600 {path}")
    try:
        return _parsed(data)
    except ValueError:  # of base64 as well
        raise ConfigurationError(
            f"{path}: is not a master secret ({_MASTER_BYTES} or more random bytes as base64, or what `stillgate "
            "secrets rotate` made of it); restore it from a backup, or delete it to have a new one made, which ends "
            "every key in use"
        ) from None


def _parsed(data: bytes) -> tuple[Kept, ...]:
    """Read the content of a master secret's file. Raises ValueError, which tells nothing of it."""
    if len(data) > MASTER_FILE_BYTES:
        raise ValueError("too long")
    lines = [line.split() for line in data.decode("ascii").strip().split("\n")]
    if len(lines) == 1 and len(lines[0]) == 1:
        lines = [[State.IN_FORCE, "-", *lines[0]]]
    found = []
    for state, since, encoded in lines:
        secret = base64.b64decode(encoded, validate=True)
        if len(secret) < _MASTER_BYTES or len(set(secret)) < _LEAST_DIFFERENT_BYTES or not _MOMENT.fullmatch(since):
            raise ValueError("no secret")
        found.append(Kept(State(state), since, secret))
    states = [kept.state for kept in found]
    if (
        states.count(State.IN_FORCE) != 1
        or states.count(State.NEXT) > 1
        or len({kept.id for kept in found}) < len(found)
    ):
        raise ValueError("no order")
    return tuple(found)


def open_to_others(found: os.stat_result) -> bool:
    """Tell whether others than its owner may read or change a secret's file.

    Kubernetes gives a mounted secret to root, and the pod's group, which has no other members, may read it: that is
    allowed.
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
    """Make a file with mode 0600, written beside its place and linked into it whole. A file there already stays.

    Raises OSError.
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
