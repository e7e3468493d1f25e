"""Bounds how much one request may ask for; what asks for less is left as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from proxy.actions.base import Tools
from proxy.actions.reading import members, whole
from proxy.exchange import Call, Exchange

_MOST = 10_000_000
_LENGTHS = ("max_completion_tokens", "max_tokens")
_LEAST_BUDGET = 1024  # of reasoning tokens, that Anthropic's API accepts


@dataclass(frozen=True, slots=True)
class Clamp:
    """The action, and at work: it keeps nothing of an exchange."""

    max_output_tokens: int | None
    n: int | None

    name: ClassVar[str] = "clamp"
    summary: ClassVar[str] = "Lowers what a request asks for to a bound; a request without a bound of its own gets it."
    parameters: ClassVar[dict[str, str]] = {
        "max_output_tokens": "The most tokens that an answer may have, reasoning included.",
        "n": "The most answers to one request.",
    }
    discloses: ClassVar[str] = "answers end early, with the finish reason that the API has for length"

    @classmethod
    def read(cls, value: Any) -> Clamp:  # noqa: ANN401 - a value of a YAML file
        """Make one of what the pack says."""
        given = members(value, cls.parameters)
        if not given:
            raise ValueError("should have max_output_tokens, n or both")
        return cls(whole(given, "max_output_tokens", 1, _MOST), whole(given, "n", 1, 128))

    def begin(self, exchange: Exchange, tools: Tools) -> Clamp:
        """Return the action for one exchange."""
        del exchange, tools
        return self

    async def on_call(self, call: Call) -> Call:
        """Return the call within its bounds."""
        body, length, choices = call.body, call.max_output_tokens, call.choices
        if self.max_output_tokens is not None and (length is None or length > self.max_output_tokens):
            length = self.max_output_tokens
            given = [name for name in _LENGTHS if body.get(name) is not None] or [call.length_member]
            body = {**body, **dict.fromkeys(given, length), **_thinking_within(length, body.get("thinking"))}
        if self.n is not None and choices > self.n:
            choices = self.n
            body = {**body, "n": choices}
        if body is call.body:
            return call
        return replace(call, body=body, max_output_tokens=length, choices=choices)


def _thinking_within(length: int, thinking: object) -> dict[str, Any]:
    """Return the member that keeps a budget of reasoning below the length, as Anthropic's API wants it."""
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if type(budget) is not int or budget < length:
        return {}
    if length <= _LEAST_BUDGET:
        return {"thinking": {"type": "disabled"}}
    return {"thinking": {**thinking, "budget_tokens": length - 1}}  # type: ignore[dict-item]  # a dict, as seen above
