"""Makes the lines of one log a chain with signed checkpoints; belongs to the thread that writes them."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

from proxy.clock import Clock
from proxy.config import Settings
from proxy.decisions.chain import GENESIS, Chain, Head, HeadFile, take_up
from proxy.decisions.checkpoints import Checkpoints, Terms
from proxy.decisions.signing import load_or_create_signer

_NEVER: Final = Head("", 0, GENESIS)
_HOST_CHARS: Final = 60


class Seal:
    """Links lines and makes checkpoints between them; `new_name` names the writer when a new chain begins."""

    def __init__(self, checkpoints: Checkpoints, head_file: HeadFile, new_name: Callable[[], str]) -> None:
        self._checkpoints = checkpoints
        self._head_file = head_file
        self._new_name = new_name
        self._chain = Chain(_NEVER)
        self._written = _NEVER
        self._lost = 0

    def open(self, last_line: bytes) -> str:
        """Go on after the log's last line, and return the writer's name: the chain's, if there is one already."""
        self._chain = Chain(take_up(last_line, self._head_file.read(), self._new_name))
        self._checkpoints.covered(self._chain)
        self._written = self._chain.head
        return self._chain.writer

    @property
    def head(self) -> Head:
        """Where the written lines end; any thread may ask."""
        return self._written

    @property
    def unkept(self) -> int:
        """How many checkpoints could not be kept elsewhere; any thread may ask."""
        return self._checkpoints.unkept

    def hear(self, heads: tuple[Head, ...]) -> None:
        """Have checkpoints name these heads of writers elsewhere from now on; any thread may call this."""
        self._checkpoints.elsewhere = heads

    def bind(self, line: bytes, lost: int = 0) -> bytes:
        """Return a line as the next one of the chain, after the numbers of the lines lost since the start."""
        self._chain.skip(lost - self._lost)
        self._lost = lost
        return self._chain.link(line)

    def due_in(self) -> float | None:
        """Return in how many seconds a checkpoint is due, 0 for now; None if no line needs one."""
        return self._checkpoints.due_in(self._chain)

    def checkpoint(self) -> bytes:
        """Return a checkpoint as the next line."""
        return self._checkpoints.line(self._chain)

    def written(self) -> None:
        """Note that all bound lines are written."""
        self._written = self._chain.head

    def remember(self) -> None:
        """Keep where the written lines end; if that cannot be written, the log itself will notice."""
        with suppress(OSError):
            self._head_file.write(self._written)


def seal_of(settings: Settings, path: Path, name: str, clock: Clock) -> Seal:
    """Return what binds the log at `path`, whose writer gets this name if a new chain begins.

    Raises ConfigurationError if the signing key cannot be used.
    """
    entry = settings.decision_log
    load_or_create_signer(settings.log_key, f"stillgate/{socket.gethostname()}")
    to_stdout = entry.checkpoints_to_stdout and entry.to == "file" and not sys.stdout.isatty()
    terms = Terms(
        entry.checkpoint_lines,
        entry.checkpoint_seconds,
        entry.checkpoints_file,
        sys.stdout.fileno() if to_stdout else None,
    )
    checkpoints = Checkpoints(settings.log_key, path.parent, version("stillgate"), clock, terms)
    new_name = f"{socket.gethostname()[:_HOST_CHARS]}-{name}-{secrets.token_hex(3)}"
    return Seal(checkpoints, HeadFile(path.with_suffix(".head")), lambda: new_name)
