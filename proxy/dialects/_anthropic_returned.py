"""Puts withheld blocks of reasoning back where a request returns the handles that stand for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxy.dialects._anthropic_reasoning import BLOCKS
from proxy.errors import BadRequest
from proxy.exchange import Call
from proxy.keyed.sealed_reasoning import PREFIX, SealedReasoning

# The member that holds a handle: in a block that stands for the original, and in one with a summary.
_PLACES = {"redacted_thinking": "data", "thinking": "signature"}


def put_back(call: Call, sealed: SealedReasoning) -> Call:
    """Return the call with the original blocks, the very same object if it has no handle.

    Raises BadRequest for a handle that cannot be opened, as the API does for a block that it cannot verify. Dropping it
    would make another turn of the model's, and the API would refuse the handle itself.
    """
    messages = [_restored(message, f"messages[{place}]", sealed) for place, message in enumerate(call.body["messages"])]
    if all(new is old for new, old in zip(messages, call.body["messages"], strict=True)):
        return call
    return replace(call, body={**call.body, "messages": messages})


def _restored(message: dict[str, Any], where: str, sealed: SealedReasoning) -> dict[str, Any]:
    content = message.get("content")
    if type(content) is not list or not any(map(_is_handle, content)):
        return message
    blocks = [
        _opened(block, f"{where}.content[{place}]", sealed) if _is_handle(block) else block
        for place, block in enumerate(content)
    ]
    return {**message, "content": blocks}


def _is_handle(block: dict[str, Any]) -> bool:
    handle = _handle_of(block)
    return type(handle) is str and handle.startswith(PREFIX)


def _handle_of(block: dict[str, Any]) -> Any:  # noqa: ANN401 - a member of a block
    place = _PLACES.get(block.get("type", ""))
    return None if place is None else block.get(place)


def _opened(block: dict[str, Any], where: str, sealed: SealedReasoning) -> dict[str, Any]:
    kind = block["type"]
    place = _PLACES[kind]
    opened = sealed.open(_handle_of(block))
    # If two rungs withhold, the second has sealed the first one's handle. A handle that was made elsewhere stays: the
    # model API may be behind a proxy like this.
    while opened is not None and _is_handle(opened) and (inner := sealed.open(_handle_of(opened))) is not None:
        opened = inner
    if opened is None or opened.get("type") not in BLOCKS:
        raise BadRequest(f"`{where}.{place}` is not a valid `{place}` of a `{kind}` block.", param=f"{where}.{place}")
    return opened
