"""Takes out of a call what asks for more of a model than its text, or leaves it with less detail.

Law: what is no longer asked for is not in the answer either, whatever the upstream sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import chain
from typing import Any, ClassVar, NamedTuple

from proxy.actions.base import Action, Tools, whose
from proxy.actions.blur import Blur, read_blur
from proxy.actions.reading import members, one_of, whole
from proxy.exchange import Call, Chunk, Exchange, Work
from proxy.secrets import Purpose
from proxy.wire import Kind, Path, Transform, Wire, edited, value_at

_LOGPROBS, _TOP, _EMBEDDINGS = "logprobs", "top_logprobs", "embeddings"
# The names that a pack uses, each with the request members that it stands for.
_MEMBERS = {_LOGPROBS: (_LOGPROBS, _TOP), _TOP: (_TOP,), "logit_bias": ("logit_bias",)}
# How OpenAI's responses ask for log-probabilities: in a member that lists what else the answer is to have.
_INCLUDE, _INCLUDED = "include", "message.output_text.logprobs"
_ASKING = frozenset({*chain.from_iterable(_MEMBERS.values()), _INCLUDE})
_MOST_TOP = 20  # alternatives that the API gives at most
_MOST_DECIMALS = 6
_KEY_BYTES = 32


class Detail(NamedTuple):
    """How much of log-probabilities is left: alternatives a token and decimals of a figure; None: no change."""

    top: int | None
    decimals: int | None


@dataclass(frozen=True, slots=True)
class Drop:
    """The action; `kept` is set if log-probabilities are only made coarser, `blur` if embeddings are."""

    what: tuple[str, ...]
    kept: Detail | None = None
    blur: Blur | None = None

    name: ClassVar[str] = "drop"
    summary: ClassVar[str] = "Removes parameters from the call, and what they ask for from the answer."
    parameters: ClassVar[dict[str, str]] = {
        "logprobs": "Log-probabilities, and their alternatives.",
        "logprobs.top": "Keeps them, with at most this many alternatives a token, 0 to 20; as asked if missing.",
        "logprobs.decimals": "Keeps them, with this many decimals, 0 to 6; all if missing.",
        "top_logprobs": "Only the alternatives.",
        "logit_bias": "The bias on chosen tokens.",
        "embeddings.decimals": "How many decimals a vector's figures keep, 1 to 8; all if missing.",
        "embeddings.degrees": "The angle by which each vector is turned aside, 0.1 to 45 degrees; 0 if missing.",
    }
    discloses: ClassVar[str] = "the answer lacks what was asked for, or its figures are rounded or slightly off"
    never_touches: ClassVar[str] = "what the model wrote, only figures beside it; the length of a turned vector"

    @classmethod
    def read(cls, value: Any) -> Drop:  # noqa: ANN401 - a value of a YAML file
        """Make a drop from its value in the pack."""
        items = value if isinstance(value, list) else [value]
        coarse = [item for item in items if isinstance(item, dict) and list(item) == [_LOGPROBS]]
        blurred = [item for item in items if isinstance(item, dict) and list(item) == [_EMBEDDINGS]]
        names = [item for item in items if item not in coarse and item not in blurred]
        what = one_of(names, _MEMBERS, "what can be dropped") if names or not (coarse or blurred) else ()
        if len(coarse) > 1 or (coarse and not {_LOGPROBS, _TOP}.isdisjoint(what)):
            raise ValueError("log-probabilities are either removed or kept with less detail, and once")
        if len(blurred) > 1:
            raise ValueError("embeddings are kept with less detail once")
        return cls(
            what,
            _detail(coarse[0][_LOGPROBS]) if coarse else None,
            _blur(blurred[0][_EMBEDDINGS]) if blurred else None,
        )

    def begin(self, exchange: Exchange, tools: Tools) -> Action:
        """Return the action for one exchange; it works on the answer too if that may have figures to be changed."""
        call = exchange.call
        if self.blur is not None and call is not None and call.work is Work.EMBED:
            key = blake2b(whose(exchange).encode(), key=tools.key(Purpose.VECTORS), digest_size=_KEY_BYTES).digest()
            return Blurring(self.blur, key)
        body = call.body if call is not None else {}
        asked = not _ASKING.isdisjoint(body) and (
            any(_asks(body, name) for name in _MEMBERS[_LOGPROBS]) or _includes(body)
        )
        if not asked or (self.kept is None and _LOGPROBS not in self.what and _TOP not in self.what):
            return Dropping(self)
        return DroppingFromAnswer(self)


def _asks(body: dict[str, Any], name: str) -> bool:
    """Tell whether a member asks for anything: in a text completion, `logprobs: 0` asks for the tokens' own."""
    value = body.get(name)
    return bool(value) or (name == _LOGPROBS and type(value) is int)


def _blur(value: Any) -> Blur:  # noqa: ANN401 - a value of a YAML file
    try:
        return read_blur(value)
    except ValueError as error:
        raise ValueError(f"embeddings: {error}") from None


def _detail(value: Any) -> Detail:  # noqa: ANN401 - a value of a YAML file
    try:
        given = members(value, Detail._fields)
        detail = Detail(whole(given, "top", 0, _MOST_TOP), whole(given, "decimals", 0, _MOST_DECIMALS))
    except ValueError as error:
        raise ValueError(f"logprobs: {error}") from None
    if detail == (None, None):
        raise ValueError("logprobs: should have top, decimals or both")
    return detail


def _includes(body: dict[str, Any]) -> bool:
    return type(included := body.get(_INCLUDE)) is list and _INCLUDED in included


class Dropping:
    """The action at work on a call."""

    def __init__(self, drop: Drop) -> None:
        self._drop = drop

    async def on_call(self, call: Call) -> Call:
        """Return the call without what is dropped."""
        drop, body = self._drop, call.body
        if _ASKING.isdisjoint(body):
            return call
        # Members go with all that belong to them: `top_logprobs: 0` without `logprobs` would be refused upstream.
        asked = [name for name in drop.what if any(_asks(body, member) for member in _MEMBERS[name])]
        gone = {member for name in asked for member in _MEMBERS[name]}
        if gone & body.keys():
            body = {name: value for name, value in body.items() if name not in gone}
        if _LOGPROBS in drop.what and _includes(body):
            body = {**body, _INCLUDE: [name for name in body[_INCLUDE] if name != _INCLUDED]}
        most = drop.kept.top if drop.kept is not None else 0 if _TOP in drop.what else None
        # Where `logprobs` is no switch but a number, it is the number of alternatives.
        for name in (_TOP, _LOGPROBS):
            if most is not None and type(top := body.get(name)) is int and top > most:
                body = {**body, name: most}
        return replace(call, body=body) if body is not call.body else call


class Blurring:
    """The action at work on embeddings: the call stays, the answer changes."""

    def __init__(self, blur: Blur, key: bytes) -> None:
        self._blur = blur
        self._key = key

    async def on_call(self, call: Call) -> Call:
        """Leave the call as it is."""
        return call

    def on_answer(self, wire: Wire) -> Transform:
        """Return the transform that takes detail out of the answer."""
        # Imported here because NumPy is large: packs are also read where nobody is answered.
        from proxy.actions.vector_filter import VectorFilter  # noqa: PLC0415 - see above

        return VectorFilter(wire, self._blur, self._key)


class DroppingFromAnswer(Dropping):
    """The action at work on a call that asks for figures, and on its answer."""

    def on_answer(self, wire: Wire) -> FigureFilter:
        """Return the transform that takes the figures out of the answer."""
        kept = self._drop.kept
        if kept is None and _LOGPROBS not in self._drop.what:
            kept = Detail(0, None)
        return FigureFilter(wire, kept)


class FigureFilter:
    """The transform: removes log-probabilities, or all but the detail that is kept."""

    def __init__(self, wire: Wire, kept: Detail | None) -> None:
        self.changed = False
        self.takes_sayings = True
        self._wire = wire
        self._kept = kept

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return the chunk with fewer figures."""
        if chunk.saying is not None:
            yield chunk
            return
        edits: dict[Path, Any] = {}
        for part in self._wire.parts(chunk):
            if part.kind is Kind.LOGPROBS:
                value = value_at(chunk, part.path)
                left = None if self._kept is None else self._wire.coarse(value, self._kept.top, self._kept.decimals)
                if left != value:
                    edits[part.path] = left
        self.changed = self.changed or bool(edits)
        yield edited(chunk, edits) if edits else chunk

    def end(self) -> tuple[()]:
        """Return nothing: nothing was held back."""
        return ()
