"""Withholds what the model thought: marked as such by the API, or in tags that the caller asked for.

What the API marks can be replaced by a summary; of several rungs that withhold, one without is enough to have none.
Where JSON is asked for, tags count until it begins: models that reason in tags do so before it, and to cut anything out
of it would be to break it.
Structured output, tool arguments, figures and everything that is no reasoning pass as they came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from proxy.actions.asked_tags import asked_tags, prefilled
from proxy.actions.base import Idle, Tools
from proxy.actions.form import is_json
from proxy.actions.reading import members, one_of
from proxy.actions.summary import Summary
from proxy.actions.tag_filter import NAME, BeforeJson, TagFilter
from proxy.actions.text_lanes import TextFilter, TextLanes
from proxy.exchange import Call, Chunk, Exchange, Work
from proxy.sealed_reasoning import SealedReasoning
from proxy.secrets import Purpose
from proxy.wire import Kind, Transform, Wire, edited, filled

# What models write of themselves, and what callers ask for most.
TAGS: Final = ("think", "thinking", "thought", "reasoning", "scratchpad", "seed:think")
_MAX_TAGS = 32
_WHAT = ("reasoning",)
_MEMBERS = ("reasoning", "tags", "summary")


@dataclass(frozen=True, slots=True)
class Withhold:
    """The action as a pack has it."""

    tags: tuple[str, ...] = ()
    summed: Summary | None = None

    name: ClassVar[str] = "withhold"
    summary: ClassVar[str] = "Takes the model's reasoning out of answers; usage still counts it."
    parameters: ClassVar[dict[str, str]] = {
        "reasoning": "What the API marks as reasoning, and what stands in tags of reasoning.",
        "tags": "Names of further tags, up to 32, besides the usual ones and those that the request itself asks for.",
        "summary": "A map: has a helper model sum up what the API marks as reasoning, and puts that in its place.",
        **{f"summary.{name}": meaning for name, meaning in Summary.parameters.items()},
    }
    discloses: ClassVar[str] = (
        "answers have redacted blocks, a summary or no reasoning, and a stream rests while the model thinks"
    )
    never_touches: ClassVar[str] = "the answer itself, arguments of tool calls, structured output and figures of usage"

    @classmethod
    def read(cls, value: Any) -> Withhold:  # noqa: ANN401 - a value of a YAML file
        """Make one of what the pack says: `reasoning`, or a map with `reasoning: true` and perhaps more."""
        if not isinstance(value, dict):
            one_of(value, _WHAT, "what can be withheld")
            return cls()
        given = members(value, _MEMBERS)
        if given.get("reasoning") is not True:
            raise ValueError("should have reasoning: true")
        tags = given.get("tags", [])
        named = isinstance(tags, list) and all(isinstance(tag, str) and re.fullmatch(NAME, tag) for tag in tags)
        if not named or len(tags) > _MAX_TAGS:
            raise ValueError(f"tags should be a list of at most {_MAX_TAGS} names, such as plan for <plan>")
        summary = given.get("summary")
        return cls(
            tuple(dict.fromkeys(tag.casefold() for tag in tags)), None if summary is None else Summary.read(summary)
        )

    def begin(self, exchange: Exchange, tools: Tools) -> _Withholding | Idle:
        """Return the action for one exchange."""
        if exchange.call is not None and exchange.call.work is not Work.ANSWER:
            return Idle()
        return _Withholding(self, exchange, tools)


class _Withholding:
    """The action at work."""

    def __init__(self, withhold: Withhold, exchange: Exchange, tools: Tools) -> None:
        self._tags, self._summed = withhold.tags, withhold.summed
        self._exchange = exchange
        self._tools = tools

    async def on_call(self, call: Call) -> Call:
        """Return the call as it is: the model may think, and is to be paid for it."""
        return call

    def on_answer(self, wire: Wire) -> Transform:
        """Return what takes the reasoning out."""
        sealed = SealedReasoning(self._tools.key(Purpose.REASONING), self._exchange.principal.tenant)
        summarise = None if self._summed is None else self._summed.of_one_answer(self._tools)
        marked = wire.without_reasoning(sealed.seal, summarise)
        if summarise is None:
            marked = _InTurn(_WithoutSummaries(), marked)
        body = self._exchange.call.body if self._exchange.call is not None else {}
        filters = _Filters(wire, {*TAGS, *self._tags, *asked_tags(body)}, prefilled(body), json=is_json(body))
        return _InTurn(marked, TextLanes(wire, filters), _UntoldStops(wire, marked, filters))


class _Filters:
    """Makes the filter of each lane: in an answer of several blocks, each goes on where the one before has ended."""

    def __init__(self, wire: Wire, tags: set[str], prefill: str, *, json: bool) -> None:
        self._wire = wire
        self._tags = tags
        self._prefill = prefill
        self._json = json
        self._made: list[TagFilter] = []  # that have no other behind them

    def __call__(self) -> TextFilter:
        goes_on = self._made and self._wire.one_answer
        made = TagFilter(self._tags, self._made.pop().left) if goes_on else TagFilter(self._tags)
        if self._prefill and not goes_on:
            made.follow(self._prefill)
        self._made.append(made)
        return BeforeJson(made, self._prefill) if self._json else made

    @property
    def are_idle(self) -> bool:
        """Whether no text has come."""
        return not self._made

    @property
    def are_open(self) -> bool:
        """Whether text that comes next may be withheld."""
        return any(each.is_open for each in self._made)


class _UntoldStops:
    """Takes out which stop sequence has ended an answer within what is withheld: it would tell what stands there."""

    takes_sayings = True

    def __init__(self, wire: Wire, marked: Transform, filters: _Filters) -> None:
        self.changed = False
        self._wire = wire
        self._marked = marked
        self._filters = filters

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        """Return the chunk, with nothing in place of the sequence."""
        within = self._filters.are_open or (self._filters.are_idle and self._marked.changed)
        parts = self._wire.parts(chunk) if within else ()
        edits = {part.path: None for part in parts if part.kind is Kind.STOP}
        self.changed = self.changed or bool(edits)
        return (edited(chunk, edits) if edits else chunk,)

    def end(self) -> Iterable[Chunk]:
        """Return nothing: nothing was held back."""
        return ()


class _InTurn:
    """Several transforms as one, each of which gets what the one before returns."""

    def __init__(self, *transforms: Transform) -> None:
        self.changed = False
        self.takes_sayings = all(transform.takes_sayings for transform in transforms)
        self._transforms = transforms

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        """Return what all leave of a chunk."""
        return self._through([chunk], last=False)

    def end(self) -> Iterable[Chunk]:
        """Return what all held back."""
        return self._through((), last=True)

    def _through(self, chunks: Iterable[Chunk], *, last: bool) -> Iterable[Chunk]:
        for transform in self._transforms:
            made = [each for chunk in chunks for each in transform.feed(chunk)]
            chunks = [*made, *transform.end()] if last else made
        self.changed = any(transform.changed for transform in self._transforms)
        return chunks


class _WithoutSummaries:
    """Takes out the gaps for summaries that a lower rung has left."""

    changed = False
    takes_sayings = True

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        """Return what is left of a chunk without them."""
        return filled(chunk, [""] * len(chunk.gaps)) if chunk.gaps else (chunk,)

    def end(self) -> Iterable[Chunk]:
        """Return nothing: nothing was held back."""
        return ()
