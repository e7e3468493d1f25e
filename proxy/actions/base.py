"""What an action is: what a rung of the ladder does to an exchange; it never detects anything.

Laws: an action returns what it made and mutates nothing; it says of itself whether it changed anything, since only then
was the exchange degraded; it never alters facts, code, tool arguments or safety content.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from proxy.clock import Clock
from proxy.exchange import Call, Exchange
from proxy.secrets import Purpose
from proxy.wire import Transform, Wire


def _no_secret(purpose: Purpose) -> bytes:
    return blake2b(purpose.encode(), digest_size=32).digest()


class Tools(NamedTuple):
    """What an action may use of the process that it works in.

    `key` returns 32 secret bytes for a purpose, the same on every replica; where no customer is answered they are none.
    """

    clock: Clock
    key: Callable[[Purpose], bytes] = _no_secret


class Rejection(NamedTuple):
    """The end of an exchange that is not to be answered; the rung says in which words."""

    status: int


class Action(Protocol):
    """One action at work on one exchange."""

    async def on_call(self, call: Call) -> Call | Rejection:
        """Return the call to be made instead, the very same object if there is nothing to change."""
        ...


@runtime_checkable
class AnswerAction(Protocol):
    """What an action has besides if it works on answers too."""

    def on_answer(self, wire: Wire) -> Transform:
        """Return what changes the answer, chunk by chunk."""
        ...


class ActionKind(Protocol):
    """One action as a pack configured it; one object per rung.

    `read` is given the value that stands behind the action's name in the pack and raises ValueError, in words for its
    author, if that makes no sense.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one sentence for the author's page
    parameters: ClassVar[dict[str, str]]  # each with its unit and meaning
    discloses: ClassVar[str]  # what the caller can notice

    @classmethod
    def read(cls, value: Any) -> ActionKind:  # noqa: ANN401 - a value of a YAML file
        """Make one of what the pack says."""
        ...

    def begin(self, exchange: Exchange, tools: Tools) -> Action:
        """Return the action for one exchange."""
        ...
