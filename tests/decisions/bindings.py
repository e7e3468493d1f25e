"""What binds the lines of a log in tests: nothing, or a real chain with a key of its own."""

from __future__ import annotations

from pathlib import Path

from proxy.clock import Clock
from proxy.decisions.chain import HeadFile
from proxy.decisions.checkpoints import Checkpoints, Terms
from proxy.decisions.sealing import Seal
from proxy.decisions.signing import load_or_create_signer

WRITER = "host-0-a1b2c3"


class Loose:
    """Lines that are not bound, for tests of how bytes come out."""

    unkept = 0

    def open(self, last_line: bytes) -> str:
        del last_line
        return WRITER

    def bind(self, line: bytes, lost: int) -> bytes:
        del lost
        return line

    def due_in(self) -> float | None:
        return None

    def checkpoint(self) -> bytes:
        raise AssertionError("never due")

    def written(self) -> None:
        pass

    def remember(self) -> None:
        pass


def sealed(path: Path, clock: Clock, terms: Terms | None = None, *, writer: str = WRITER) -> Seal:
    """Return the binding of the log at `path`, with a key that lies beside its folder."""
    key = path.parent.with_name(path.parent.name + ".log.key")
    load_or_create_signer(key, "tests/log")
    checkpoints = Checkpoints(key, path.parent, "0.1.0", clock, terms or Terms())
    return Seal(checkpoints, HeadFile(path.with_suffix(".head")), lambda: writer)


def public_key(path: Path) -> str:
    """Return the public key of what `sealed` signs there."""
    return load_or_create_signer(path.parent.with_name(path.parent.name + ".log.key"), "tests/log").public
