"""Puts a handle of withheld reasoning into a turn that calls tools, so that the reasoning can come back.

Between two tool calls model servers want the reasoning back, in the members in which they showed it. A client returns
those as it got them, so the handle stands there: as a sealed item where the answer has a list of items, else as text.
Laws: a turn without calls has no handle, since nobody reads its reasoning again. What is kept for handles is bounded;
longer reasoning has none.
"""

from __future__ import annotations

import io
from typing import Any, Final, NamedTuple

from proxy.dialects._answer_json import dump, load
from proxy.errors import UpstreamFailed
from proxy.exchange import Chunk, text_bytes
from proxy.keyed.sealed_reasoning import MAX_BLOCK_BYTES, PREFIX, SealedReasoning
from proxy.wire import Part, Seal, value_at

_TURN: Final = "turn"  # the type of what a handle of this API holds
# Lists, each with the type of its sealed items, whose `data` only the model's server reads.
_SEALED: Final = {"reasoning_details": "reasoning.encrypted", "thinking_blocks": "redacted_thinking"}
TEXTS: Final = ("reasoning_content", "reasoning")  # members that people read
# Where a handle may stand, the best place first.
CARRIERS: Final = (*_SEALED, *TEXTS, "reasoning_text", "reasoning_opaque")
CALLS: Final = ("tool_calls", "function_call")
_PIECES: Final = ("text", "summary", "thinking")  # texts of an item that come in pieces
_ENDS: Final = ("signature", "data")  # members that end an item
MAX_LANES: Final = 1_024  # eight times as many choices as can be asked for
STEPS: Final = 4  # of a path: choices, a place, message or delta, and the name


def calls_tools(holder: object) -> bool:
    """Tell whether a message, or a piece of one, calls a tool."""
    return type(holder) is dict and any(holder.get(name) for name in CALLS)


def handle_in(name: str, value: object) -> str:
    """Return the handle that stands in a member of a message, empty if there is none."""
    if name in _SEALED:
        items = value if type(value) is list else []
        found = (item.get("data") for item in items if type(item) is dict and item.get("type") == _SEALED[name])
        return next((data for data in found if type(data) is str and data.startswith(PREFIX)), "")
    last = value.rstrip().rpartition("\n")[2] if type(value) is str else ""
    return last if last.startswith(PREFIX) and " " not in last else ""


def opened(handle: str, sealed: SealedReasoning) -> dict[str, Any] | None:
    """Return the members that a handle stands for, None if it was not given to this tenant."""
    turn = sealed.open(handle)
    held = turn.get("held") if turn is not None and turn.get("type") == _TURN else None
    return load(held.encode(), exact=True) if type(held) is str else None


class Handle(NamedTuple):
    """What is to stand in the member `name` of a message; `like` is a chunk of its answer."""

    name: str
    value: Any
    like: Chunk


class _Member:
    """One member of a message as its pieces come: a text, or a list of items of which the last may go on."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self._items: list[Any] = []
        self._open: dict[str, Any] | None = None  # the last item, without its texts
        self._texts: dict[str, io.StringIO] = {}

    def add(self, value: object) -> int:
        """Take a piece; return about how many bytes are kept of it."""
        if type(value) is str:
            self._text.write(value)
            return text_bytes(value)
        return sum([self._add(item) for item in (value if type(value) is list else [value])])

    def whole(self) -> Any:  # noqa: ANN401 - a member of an answer
        """Return the member, from all its pieces."""
        self._close()
        return self._items or self._text.getvalue()

    def _add(self, item: object) -> int:
        if type(item) is not dict:
            self._close()
            self._items.append(item)
            return len(dump({"": item}))
        texts = {name: item[name] for name in _PIECES if type(item.get(name)) is str}
        rest = {name: value for name, value in item.items() if name not in texts}
        if (last := self._open) is not None and self._goes_on(last, rest):
            rest = {name: value for name, value in rest.items() if name not in last or value not in (None, last[name])}
            self._open = last | rest
        else:
            self._close()
            self._open = rest
        for name, text in texts.items():
            self._texts.setdefault(name, io.StringIO()).write(text)
        return (len(dump(rest)) if rest else 0) + sum(map(text_bytes, texts.values()))

    def _goes_on(self, last: dict[str, Any], item: dict[str, Any]) -> bool:
        same = all(last.get(name) == item.get(name) for name in ("type", "index"))
        return same and bool(self._texts) and not any(last.get(name) for name in _ENDS)

    def _close(self) -> None:
        if self._open is not None:
            self._items.append(self._open | {name: text.getvalue() for name, text in self._texts.items()})
        self._open, self._texts = None, {}


class _Turn:
    """The reasoning of one choice so far, by the members that hold it."""

    def __init__(self, like: Chunk) -> None:
        self.like = like
        self.members: dict[str, _Member] = {}


class HeldTurns:
    """The turns of one answer's choices; `before` goes before a handle that is text, which a summary may precede."""

    def __init__(self, seal: Seal, before: str) -> None:
        self._seal = seal
        self._before = before
        self._left = MAX_BLOCK_BYTES
        self._turns: dict[int, _Turn] = {}
        self._calling: set[int] = set()

    def note(self, part: Part, chunk: Chunk) -> None:
        """Keep what a part of a chunk says, if it stands in a message; from elsewhere no client returns it."""
        name = part.path[-1]
        if len(part.path) != STEPS or type(name) is not str or self._left < 0:
            return
        turn = self._turns.setdefault(part.lane, _Turn(chunk))
        self._left -= turn.members.setdefault(name, _Member()).add(value_at(chunk, part.path))
        if self._left < 0:
            self._turns.clear()

    def calls(self, lane: int) -> None:
        """Take note that a choice calls a tool."""
        if len(self._calling) < MAX_LANES:
            self._calling.add(lane)

    def ended(self, lane: int) -> Handle | None:
        """Return the handle of a choice that has ended, None if it calls no tool or no reasoning can be held."""
        turn = self._turns.pop(lane, None)
        if turn is None or lane not in self._calling:
            return None
        members = {name: member.whole() for name, member in turn.members.items()}
        name = next((name for name in CARRIERS if name in members), None)
        if name is None:
            return None
        try:
            handle = self._seal({"type": _TURN, "held": dump(members).decode()})
        except UpstreamFailed:
            return None
        if name in _SEALED:
            return Handle(name, [_sealed_item(name, handle, members[name])], turn.like)
        return Handle(name, self._before + handle, turn.like)

    def open_lanes(self) -> list[int]:
        """Return the choices that have not ended yet."""
        return list(self._turns)


def _sealed_item(name: str, handle: str, like: Any) -> dict[str, Any]:  # noqa: ANN401 - a member of an answer
    """Return the item that bears a handle, with the `format` of the first item that it stands for."""
    item: dict[str, Any] = {"type": _SEALED[name], "data": handle, "index": 0}  # clients join pieces by the index
    first = like[0] if type(like) is list and like else None
    return {**item, "format": first["format"]} if type(first) is dict and "format" in first else item
