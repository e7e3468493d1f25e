"""Bounds how much one request may ask for and contain; what is within the bounds is left as it is.

Laws: a call that was valid stays valid. A conversation is never cut, as half of it says something else: one that is too
long is refused, as its API refuses one that is too long for the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from proxy.actions.base import Action, Idle, Rejection, Tools
from proxy.actions.form import configured
from proxy.actions.length import shortened
from proxy.actions.offers import fewer_images, fewer_tools
from proxy.actions.reading import members, number, whole
from proxy.errors import BadRequest
from proxy.exchange import BYTES_PER_TOKEN, Call, Exchange, Work

_MOST = 10_000_000
_MOST_CHOICES = 128
_MOST_TOOLS = 256
_MOST_IMAGES = 10_000
_OF_REASONING = 1  # some models take only this temperature while they reason
_READ = ("messages", "input", "prompt")  # hold what the model reads; `prompt` may be a stored one


class Span(NamedTuple):
    """A range, both ends included."""

    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Clamp:
    """The action; None: no bound."""

    max_output_tokens: int | None
    n: int | None
    best_of: int | None = None
    temperature: Span | None = None
    tools: int | None = None
    images: int | None = None
    context_tokens: int | None = None

    name: ClassVar[str] = "clamp"
    summary: ClassVar[str] = "Keeps what a request asks for and contains within bounds; what is within them stays."
    parameters: ClassVar[dict[str, str]] = {
        "max_output_tokens": "The most tokens an answer may have, reasoning included, also if the request sets no cap.",
        "n": "The most answers to one prompt; a completion may have several prompts, see `request.prompts`.",
        "best_of": "The most answers that the model may choose from.",
        "temperature": "A map with min (0 to 1), max (0 to 2) or both, for a temperature that the request gives; 1 "
        "stays if it asks for reasoning.",
        "tools": "The most tools that may be offered. One that tool_choice names stays; then the first ones do, "
        "then those with defer_loading, then those that a search found in the conversation.",
        "images": "The most images that may be shown: the last ones; a note takes the place of every other.",
        "context_tokens": "The most tokens of text in a request, three bytes a token; a longer one is refused: 400.",
    }
    discloses: ClassVar[str] = "answers that end early or are fewer; tools and images that the model does not see"
    never_touches: ClassVar[str] = "texts, arguments of tool calls, and what the model answers"

    @classmethod
    def read(cls, value: Any) -> Clamp:  # noqa: ANN401 - a value of a YAML file
        """Make a clamp from its value in the pack."""
        given = members(value, cls.parameters)
        clamp = cls(
            max_output_tokens=whole(given, "max_output_tokens", 1, _MOST),
            n=whole(given, "n", 1, _MOST_CHOICES),
            best_of=whole(given, "best_of", 1, _MOST_CHOICES),
            temperature=_span(given.get("temperature")),
            tools=whole(given, "tools", 1, _MOST_TOOLS),
            images=whole(given, "images", 0, _MOST_IMAGES),
            context_tokens=whole(given, "context_tokens", 1, _MOST),
        )
        if all(value is None for value in given.values()):
            raise ValueError(f"should have at least one of {', '.join(cls.parameters)}")
        return clamp

    def begin(self, exchange: Exchange, tools: Tools) -> Action:
        """Return the action for one exchange; a count of tokens is never too long."""
        del tools
        if exchange.call is not None and exchange.call.work is Work.COUNT:
            return Idle()
        return Clamping(self, exchange.text_bytes // BYTES_PER_TOKEN + 1)


class Clamping:
    """The action at work on a request with about `tokens` tokens of text."""

    def __init__(self, clamp: Clamp, tokens: int) -> None:
        self._clamp = clamp
        self._tokens = tokens

    async def on_call(self, call: Call) -> Call | Rejection:
        """Return the call within its bounds, or its refusal."""
        clamp = self._clamp
        if clamp.context_tokens is not None and self._tokens > clamp.context_tokens:
            return Rejection(400, error=_too_long(call, self._tokens, clamp.context_tokens))
        if clamp.max_output_tokens is not None:
            call = shortened(call, clamp.max_output_tokens)
        if clamp.n is not None and call.choices > clamp.n:
            call = replace(call, body={**call.body, "n": clamp.n}, choices=clamp.n)
        if clamp.best_of is not None and call.best_of > (most := max(clamp.best_of, call.choices)):
            call = replace(call, body={**call.body, "best_of": most}, best_of=most)
        changed = self._changed(call)
        return replace(call, body={**call.body, **changed}) if changed else call

    def _changed(self, call: Call) -> dict[str, Any]:
        """Return the members of the body that are beyond a bound, brought within it."""
        clamp, body = self._clamp, call.body
        changed = _tempered(body, clamp.temperature) if clamp.temperature is not None else {}
        if clamp.tools is not None:
            changed |= fewer_tools(body, clamp.tools)
        if clamp.images is not None:
            changed |= fewer_images({**body, **changed}, clamp.images)
        return changed


def _span(value: Any) -> Span | None:  # noqa: ANN401 - a value of a YAML file
    if value is None:
        return None
    try:
        given = members(value, ("max", "min"))
        # No API takes less than 0 or more than 2, and Anthropic's no more than 1.
        least, most = number(given, "min", 0, 1), number(given, "max", 0, 2)
    except ValueError as error:
        raise ValueError(f"temperature: {error}") from None
    if not given or (least or 0.0) > (2.0 if most is None else most):
        raise ValueError("temperature: should have min, max or both, min being no more than max")
    return Span(least or 0.0, 2.0 if most is None else most)


def _tempered(body: dict[str, Any], span: Span) -> dict[str, Any]:
    """Return the temperature brought within its range, if it is outside; one that is not given stays the API's own."""
    given, thinking = body.get("temperature"), body.get("thinking")
    asked = [reasoning.get("effort") for each in configured(body) if type(reasoning := each.get("reasoning")) is dict]
    efforts = [effort for effort in asked if effort is not None][-1:]  # each holds until the next, so the last counts
    reasons = any(effort not in (None, "none") for effort in (body.get("reasoning_effort"), *efforts))
    reasons = reasons or (type(thinking) is dict and thinking.get("type") != "disabled")
    if isinstance(given, bool) or not isinstance(given, int | float) or span.least <= given <= span.most:
        return {}
    if reasons and given == _OF_REASONING:
        return {}
    return {"temperature": min(max(given, span.least), span.most)}


def _too_long(call: Call, tokens: int, most: int) -> BadRequest:
    """Return the refusal in a form that each API's clients recognise, by the code or by the first words."""
    place = next((name for name in _READ if name in call.body), None)
    message = (
        f"The prompt is too long: about {tokens} tokens, and at most {most} can be read. "
        "Please reduce the length of the messages."
    )
    return BadRequest(message, code="context_length_exceeded", param=place)
