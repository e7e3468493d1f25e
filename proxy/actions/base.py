"""What an action is: what a rung of the ladder does to an exchange; it never detects anything.

Laws: an action returns what it made and mutates nothing; it says itself whether it changed anything, since only then
was the exchange degraded; it never alters facts, code, tool arguments or safety content.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from proxy.clock import Clock
from proxy.errors import ProxyError
from proxy.exchange import Call, Exchange, Helped
from proxy.secrets import Purpose
from proxy.wire import Transform, Wire


@cache
def _no_secret(purpose: Purpose) -> bytes:
    return blake2b(purpose.encode(), digest_size=32).digest()


def _no_others(_: Purpose) -> tuple[bytes, ...]:
    return ()


def whose(exchange: Exchange) -> str:
    """Return the id of the group that gets answers changed alike: the cluster's, else the template's or account's."""
    return exchange.ties.cluster or exchange.ties.template or exchange.principal.account


class ModelFacts(NamedTuple):
    """What is known of a model: its longest answer (None: any), its upstream, and the APIs it speaks (none: all).

    `counted_as` is the name under which quotas per model count it: one for all names of the same model.
    """

    max_output_tokens: int | None = None
    dialects: frozenset[str] = frozenset()
    upstream: str = ""
    counted_as: str = ""


class Question(NamedTuple):
    """What a helper model is asked: what to do with a text, in how many tokens, and within how many seconds."""

    model: str
    instruction: str
    text: str
    tokens: int
    within: float


Ask = Callable[[Question], Awaitable[Helped]]  # raises nothing but the cancellation of its caller


class Tools(NamedTuple):
    """What an action may use of its process, and what it may know of its rung.

    `key` returns 32 secret bytes for a purpose, the same on every replica; not secret where no customer is answered.
    `models` and `public_ids` are those of the settings. `ask` asks one of the models for help, None where no customer
    is answered: an action does not await it, it leaves a gap in a chunk for the gateway to have filled. `disclosed`
    says that the rung tells the caller that something was done. `others` returns other keys of a purpose, under which
    something may have been made that is still accepted.
    """

    clock: Clock
    key: Callable[[Purpose], bytes] = _no_secret
    models: Mapping[str, ModelFacts] = MappingProxyType({})
    public_ids: frozenset[str] = frozenset()
    disclosed: bool = False
    ask: Ask | None = None
    others: Callable[[Purpose], tuple[bytes, ...]] = _no_others


class Rejection(NamedTuple):
    """The end of an exchange that is not to be answered.

    The client is told `error` if there is one; else what the rung's `client` says or, without that, `code` and
    `message`, which may use the same variables.
    """

    status: int
    code: str = "access_paused"
    message: str = "Access paused (ref {exchange_id})."
    verify_url: str = ""
    error: ProxyError | None = None


class Action(Protocol):
    """One action at work on one exchange."""

    async def on_call(self, call: Call) -> Call | Rejection:
        """Return the call to be made instead, the very same object if there is nothing to change."""
        ...


class Idle:
    """An action that has nothing to do for this exchange."""

    async def on_call(self, call: Call) -> Call:
        """Leave the call as it is."""
        return call


@runtime_checkable
class AnswerAction(Protocol):
    """What an action has besides if it works on answers too."""

    def on_answer(self, wire: Wire) -> Transform:
        """Return the transform that changes the answer, chunk by chunk."""
        ...


class Loading(Protocol):
    """What an action on answers has besides if it needs something that would take the event loop too long to load."""

    async def load(self) -> None:
        """Load it if it is not there; called before `on_answer` where customers are served."""
        ...


class ActionKind(Protocol):
    """One action as a pack configured it; one object per rung.

    `read` is given the action's value in the pack and raises ValueError, in words for its author, if that makes no
    sense. What it returns is pickled on its way to the workers.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one sentence for the author's page
    parameters: ClassVar[dict[str, str]]  # each with its unit and meaning
    discloses: ClassVar[str]  # what the caller can notice
    never_touches: ClassVar[str]  # what stays as it is, whatever the parameters

    @classmethod
    def read(cls, value: Any) -> ActionKind:  # noqa: ANN401 - a value of a YAML file
        """Make an action from its value in the pack."""
        ...

    def begin(self, exchange: Exchange, tools: Tools) -> Action:
        """Return the action for one exchange."""
        ...
