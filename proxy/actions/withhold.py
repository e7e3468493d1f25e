"""Withholds reasoning: what the API marks as such, and what stands in tags that the caller asked for.

What the API marks can be replaced by a summary; of several rungs that withhold, one without a summary is enough to have
none. Where JSON is asked for, tags count until it begins: models that reason in tags do so before it, and cutting
anything out of it would break it. Structured output, tool arguments, figures and everything that is no reasoning pass
as they came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from proxy.actions.asked_tags import asked_tags, prefilled
from proxy.actions.base import Idle, Tools
from proxy.actions.form import is_json
from proxy.actions.lane import TextFilter
from proxy.actions.reading import members, one_of
from proxy.actions.spoken import WithoutSpokenReasoning
from proxy.actions.summary import Summary
from proxy.actions.tag_filter import NAME, BeforeJson, TagFilter
from proxy.actions.text_lanes import TextLanes
from proxy.exchange import Call, Chunk, Exchange, Work
from proxy.keyed.sealed_reasoning import SealedReasoning
from proxy.secrets import Purpose
from proxy.wire import Kind, Transform, Wire, edited, filled

# Tags that models write by themselves, and that callers ask for most.
TAGS: Final = ("think", "thinking", "thought", "reasoning", "scratchpad", "seed:think")
_MAX_TAGS = 32
_WHAT = ("reasoning",)
_GUESS = "prediction"  # a member of a chat's request: text that is likely to be in the answer
_MEMBERS = ("reasoning", "tags", "summary")


@dataclass(frozen=True, slots=True)
class Withhold:
    """The action as a pack has it."""

    tags: tuple[str, ...] = ()
    summed: Summary | None = None

    name: ClassVar[str] = "withhold"
    summary: ClassVar[str] = "Takes the model's reasoning out of answers; usage still counts it."
    parameters: ClassVar[dict[str, str]] = {
        "reasoning": "What the API marks as reasoning, and what stands in tags for it.",
        "tags": "Names of further tags, up to 32, besides the usual ones and those that the request itself asks for.",
        "summary": "A map: a helper model sums up what the API marks as reasoning, and that takes its place.",
        **{f"summary.{name}": meaning for name, meaning in Summary.parameters.items()},
    }
    discloses: ClassVar[str] = (
        "answers have redacted blocks, a summary or no reasoning, and a stream pauses while the model thinks"
    )
    never_touches: ClassVar[str] = "the answer itself, arguments of tool calls, structured output and figures of usage"

    @classmethod
    def read(cls, value: Any) -> Withhold:  # noqa: ANN401 - a value of a YAML file
        """Make one from its value in the pack: `reasoning`, or a map with `reasoning: true` and perhaps more."""
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
        """Return the call, so that the model reasons as it would, and is paid for that.

        A prediction is taken out: how many of its tokens were accepted, and how fast, would confirm a guess at what is
        withheld. It only makes answers faster.
        """
        if call.body.get(_GUESS) is None:
            return call
        return replace(call, body={name: value for name, value in call.body.items() if name != _GUESS})

    def on_answer(self, wire: Wire) -> Transform:
        """Return the transform that takes the reasoning out."""
        sealed = SealedReasoning(self._tools.key(Purpose.REASONING), self._exchange.principal.tenant)
        summarise = None if self._summed is None else self._summed.of_one_answer(self._tools)
        marked = wire.without_reasoning(sealed.seal, summarise)
        if summarise is None:
            marked = _InTurn(_WithoutSummaries(), marked)
        body = self._exchange.call.body if self._exchange.call is not None else {}
        filters = _Filters(wire, {*TAGS, *self._tags, *asked_tags(body)}, prefilled(body), json=is_json(body))
        thoughts = _Thoughts(wire)
        spoken = [] if wire.one_answer else [WithoutSpokenReasoning(wire, filters.first)]
        return _InTurn(thoughts, marked, TextLanes(wire, filters), *spoken, _UntoldStops(wire, thoughts, filters))


class _Filters:
    """Makes the filter of each lane; in an answer of several blocks, each goes on where the one before has ended."""

    def __init__(self, wire: Wire, tags: set[str], prefill: str, *, json: bool) -> None:
        self._wire = wire
        self._tags = tags
        self._prefill = prefill
        self._json = json
        self._made: dict[int, TagFilter] = {}  # by answer, its last filter

    def __call__(self, lane: int) -> TextFilter:
        answer = _answer(self._wire, lane)
        before = self._made.get(answer) if self._wire.one_answer else None
        made = self.first() if before is None else TagFilter(self._tags, before.left)
        self._made[answer] = made
        return BeforeJson(made, self._prefill) if self._json else made

    def is_open(self, answer: int) -> bool:
        """Tell whether the next text of an answer may be withheld."""
        return (self._made.get(answer) or self.first()).is_open

    def first(self) -> TagFilter:
        """Return the filter for the beginning of an answer."""
        made = TagFilter(self._tags)
        if self._prefill:
            made.follow(self._prefill)
        return made


class _Thoughts:
    """Notes for each answer whether the last it said was reasoning; text without a visible character does not count."""

    changed = False
    takes_sayings = True

    def __init__(self, wire: Wire) -> None:
        self.last: set[int] = set()
        self._wire = wire

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        """Return the chunk as it is."""
        if chunk.saying is not None:
            if self.last and any(text and not text.isspace() for text in chunk.saying.texts):
                self.last.discard(_answer(self._wire, chunk.saying.lane))
            return (chunk,)
        parts = self._wire.parts(chunk)
        # The members of one choice have no order: reasoning is taken to come before text.
        for part in parts if self._wire.one_answer else sorted(parts, key=lambda part: part.kind is Kind.TEXT):
            if part.kind is Kind.REASONING:
                self.last.add(_answer(self._wire, part.lane))
            elif part.kind is Kind.TEXT and part.text and not part.text.isspace():
                self.last.discard(_answer(self._wire, part.lane))
        return (chunk,)

    def end(self) -> Iterable[Chunk]:
        """Return nothing: nothing was held back."""
        return ()


class _UntoldStops:
    """Hides which stop sequence ended an answer within withheld text: it would tell what stands there."""

    takes_sayings = True

    def __init__(self, wire: Wire, thoughts: _Thoughts, filters: _Filters) -> None:
        self.changed = False
        self._wire = wire
        self._thoughts = thoughts
        self._filters = filters

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        """Return the chunk, with null in place of the sequence."""
        if chunk.saying is not None:
            return (chunk,)
        stops = [part for part in self._wire.parts(chunk) if part.kind is Kind.STOP]
        edits = {part.path: None for part in stops if self._is_within(_answer(self._wire, part.lane))}
        self.changed = self.changed or bool(edits)
        return (edited(chunk, edits) if edits else chunk,)

    def end(self) -> Iterable[Chunk]:
        """Return nothing: nothing was held back."""
        return ()

    def _is_within(self, answer: int) -> bool:
        return answer in self._thoughts.last or self._filters.is_open(answer)


def _answer(wire: Wire, lane: int) -> int:
    """Return the number of the answer that a lane belongs to."""
    return 0 if wire.one_answer else lane


class _InTurn:
    """Several transforms as one, each of which gets what the one before returns."""

    def __init__(self, *transforms: Transform) -> None:
        self.changed = False
        self.takes_sayings = all(transform.takes_sayings for transform in transforms)
        self._transforms = transforms

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        """Return what all transforms make of a chunk."""
        return self._through([chunk], last=False)

    def end(self) -> Iterable[Chunk]:
        """Return what all transforms held back."""
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
        """Return a chunk without its gaps, as if no summaries had come."""
        return filled(chunk, [""] * len(chunk.gaps)) if chunk.gaps else (chunk,)

    def end(self) -> Iterable[Chunk]:
        """Return nothing: nothing was held back."""
        return ()
