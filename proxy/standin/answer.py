"""What the stand-in says: one answer, composed from what a request wishes for, before any API's shape is put on it.

Laws: the same wish and index give the same answer; an answer never has more tokens than the wish allows.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from proxy.standin import tokens
from proxy.standin.prose import Prose, dice_for
from proxy.standin.reading import to_json
from proxy.standin.schema import SchemaFiller

_USUAL_TOKENS = (64, 112)  # how long an answer is when nothing asks for more; it then ends with its sentence
_LONGEST_TOKENS = 512  # however large the cap is: a cap is a limit, not an order
_ASKS_FOR_TOOL = re.compile(r"\buse (?:the|a|your|this) (?:\S+ )?tool\b", re.IGNORECASE)

Ending = Literal["stop", "stop_sequence", "length", "tool"]


class Tool(NamedTuple):
    """A tool that the request offers; `schema` is its parameters' JSON schema."""

    name: str
    schema: object


@dataclass(frozen=True, slots=True)
class Wish:
    """What decides an answer.

    `seed` is a digest of the request and of the server's own seed. `max_tokens` caps reasoning and text together (None:
    no cap). `reasoning` is the most tokens to think (0: do not). `tool` is the tool to call instead of answering,
    `shape` the JSON schema that the text must have (None: prose).
    """

    seed: bytes
    max_tokens: int | None
    stop: tuple[str, ...] = ()
    reasoning: int = 0
    tool: Tool | None = None
    shape: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `text` is JSON arguments if `tool` names a tool; `stopped_by` is the stop sequence."""

    reasoning: str
    text: str
    tool: str | None
    ending: Ending
    stopped_by: str | None

    @property
    def output_tokens(self) -> int:
        """What the answer is billed for."""
        return tokens.count(self.reasoning) + tokens.count(self.text)


def compose(wish: Wish, prose: Prose, index: int = 0) -> Answer:
    """Return the answer to a wish; `index` tells apart the answers to one request that asks for several."""
    dice = dice_for(wish.seed, index.to_bytes(2))
    left = wish.max_tokens
    reasoning = ""
    if wish.reasoning:
        wanted = dice.randint(wish.reasoning // 2, wish.reasoning)
        thought = wanted if left is None else min(wanted, left)
        reasoning = prose.write(dice, thought * tokens.TOKEN_CHARS)[: thought * tokens.TOKEN_CHARS]
        left = None if left is None else left - thought
    if wish.tool is not None:
        text = _json(wish.tool.schema, dice, prose)
    elif wish.shape is not None:
        text = _json(wish.shape, dice, prose)
    else:
        text = prose.write(dice, _wanted(left, dice) * tokens.TOKEN_CHARS)
    ending: Ending = "stop" if wish.tool is None else "tool"
    stopped_by = None
    if wish.stop and wish.tool is None:
        text, stopped_by = _cut_at(text, wish.stop)
        ending = "stop" if stopped_by is None else "stop_sequence"
    if left is not None and tokens.count(text) > left:
        text, ending, stopped_by = text[: left * tokens.TOKEN_CHARS], "length", None
    tool = None if wish.tool is None else wish.tool.name
    return Answer(reasoning, text, tool, ending, stopped_by)


def choose_tool(tools: list[Tool], *, required: bool, asked: str) -> Tool | None:
    """Return the tool to call: one is called when it is required, or when the last words of the user ask for it.

    `asked` is the last message's text if it is the user's and holds no tool result, else empty. A tool whose name
    stands in it is preferred, otherwise the first is taken.
    """
    if not tools or not (required or _ASKS_FOR_TOOL.search(asked)):
        return None
    return next((tool for tool in tools if tool.name in asked), tools[0])


def _wanted(cap: int | None, dice: random.Random) -> int:
    """Return how many tokens of prose to aim for: a cap that is larger than usual draws a longer answer."""
    low, high = _USUAL_TOKENS
    if cap is not None and cap > 2 * high:
        high = min(cap * 9 // 10, _LONGEST_TOKENS)
        low = high // 2
    return dice.randint(low, high)


def _json(schema: object, dice: random.Random, prose: Prose) -> str:
    return to_json(SchemaFiller(schema, dice, prose).fill()).decode()


def _cut_at(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    found = min(((at, stop) for stop in stops if (at := text.find(stop)) >= 0), default=None)
    return (text, None) if found is None else (text[: found[0]], found[1])
