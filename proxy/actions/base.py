"""What an action is: what a rung of the ladder does to an exchange; it never detects anything.

Laws: an action returns what it made and mutates nothing; it says of itself whether it changed anything, since only then
was the exchange degraded; it never alters facts, code, tool arguments or safety content.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol

from proxy.exchange import Call, Exchange


class Rejection(NamedTuple):
    """The end of an exchange that is not to be answered; the rung says in which words."""

    status: int


class Action(Protocol):
    """One action at work on one exchange."""

    async def on_call(self, call: Call) -> Call | Rejection:
        """Return the call to be made instead, the very same object if there is nothing to change."""
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

    def begin(self, exchange: Exchange) -> Action:
        """Return the action for one exchange."""
        ...
