"""Puts the withheld reasoning of a turn back where a chat's request returns the turn with its handle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxy.dialects._answer_json import is_unicode
from proxy.dialects._openai_chat_held import CARRIERS, handle_in, opened
from proxy.dialects._openai_chat_wire import is_reasoning
from proxy.errors import BadRequest
from proxy.exchange import Call
from proxy.keyed.sealed_reasoning import SealedReasoning


def put_back(call: Call, sealed: SealedReasoning) -> Call:
    """Return the call with the members that its handles stand for, the very same object if it has none.

    Raises BadRequest for a handle that cannot be opened: dropping it would make another turn of the model's.
    """
    given = call.body["messages"]
    messages = [_restored(message, f"messages[{place}]", sealed) for place, message in enumerate(given)]
    if all(new is old for new, old in zip(messages, given, strict=True)):
        return call
    return replace(call, body={**call.body, "messages": messages})


def _restored(message: dict[str, Any], where: str, sealed: SealedReasoning) -> dict[str, Any]:
    name, handle = _handle_of(message) if message["role"] == "assistant" else ("", "")
    if not handle:
        return message
    held = opened(handle, sealed)
    # If two rungs withhold, the second has sealed the first one's handle. A handle that was made elsewhere stays: the
    # model API may be behind a proxy like this.
    while held is not None and (inner := _handle_of(held)[1]) and (deeper := opened(inner, sealed)) is not None:
        held = deeper
    if held is None or not all(map(is_reasoning, held)) or not is_unicode(held):
        param = f"{where}.{name}"
        raise BadRequest(f"`{param}` could not be verified.", code="invalid_encrypted_content", param=param)
    return {**{member: value for member, value in message.items() if not is_reasoning(member)}, **held}


def _handle_of(message: dict[str, Any]) -> tuple[str, str]:
    """Return the first member of a message that bears a handle, with the handle; both empty if there is none."""
    found = ((name, handle_in(name, message[name])) for name in CARRIERS if name in message)
    return next(((name, handle) for name, handle in found if handle), ("", ""))
