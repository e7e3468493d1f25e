"""Shortens what a call asks for, in a way that its API accepts."""

from __future__ import annotations

from typing import Any

from proxy.exchange import Call

_LENGTHS = ("max_completion_tokens", "max_tokens")
_LEAST = {"max_output_tokens": 16}  # the least that an API accepts
_LEAST_BUDGET = 1024  # the least reasoning tokens that Anthropic's API accepts


def shortened(call: Call, most: int) -> Call:
    """Return a call that asks for at most `most` output tokens, the very same object if it does already."""
    most = max(most, _LEAST.get(call.length_member, 1))
    if call.max_output_tokens is not None and call.max_output_tokens <= most:
        return call
    given = [name for name in _LENGTHS if call.body.get(name) is not None] or [call.length_member]
    body = {**call.body, **dict.fromkeys(given, most), **_thinking_within(most, call.body.get("thinking"))}
    made = call.with_body(body)
    made.max_output_tokens = most
    return made


def _thinking_within(length: int, thinking: object) -> dict[str, Any]:
    """Return the member that keeps the reasoning budget below the length, as Anthropic's API requires."""
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if type(budget) is not int or budget < length:
        return {}
    if length <= _LEAST_BUDGET:
        return {"thinking": {"type": "disabled"}}
    return {"thinking": {**thinking, "budget_tokens": length - 1}}  # type: ignore[dict-item]  # a dict, as seen above
