"""Puts withheld reasoning back where a request returns the items with its handles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxy.dialects._answer_json import is_unicode, load
from proxy.dialects._openai_responses_reasoning import HELD, REASONING
from proxy.errors import BadRequest
from proxy.exchange import Call
from proxy.keyed.sealed_reasoning import PREFIX, SealedReasoning


def put_back(call: Call, sealed: SealedReasoning) -> Call:
    """Return the call with the reasoning that its handles stand for, the very same object if it has none.

    Raises BadRequest for a handle that cannot be opened, as the API does for content that it cannot verify.
    """
    items = call.body.get("input")
    if type(items) is not list or not any(map(_is_handle, items)):
        return call
    restored = [_restored(item, f"input[{at}]", sealed) if _is_handle(item) else item for at, item in enumerate(items)]
    return replace(call, body={**call.body, "input": restored})


def _restored(item: dict[str, Any], where: str, sealed: SealedReasoning) -> dict[str, Any]:
    held = _held(item, sealed)
    # If two rungs withhold, the second has sealed the first one's handle. A handle that was made elsewhere stays: the
    # model API may be behind a proxy like this.
    while held is not None and _is_handle({**held, "type": REASONING}) and (inner := _held(held, sealed)) is not None:
        held = inner
    if held is None or not all(map(is_unicode, held.values())):
        message = f"`{where}.encrypted_content` could not be verified."
        raise BadRequest(message, code="invalid_encrypted_content", param=f"{where}.encrypted_content")
    return {**{name: value for name, value in item.items() if name not in HELD}, **held}


def _held(item: dict[str, Any], sealed: SealedReasoning) -> dict[str, Any] | None:
    """Return what the handle of an item stands for, None if it was not given to this tenant."""
    opened = sealed.open(item["encrypted_content"])
    return load(opened["held"].encode()) if opened is not None and opened.get("type") == REASONING else None


def _is_handle(item: Any) -> bool:  # noqa: ANN401 - an item of a request
    if type(item) is not dict or item.get("type") != REASONING:
        return False
    content = item.get("encrypted_content")
    return type(content) is str and content.startswith(PREFIX)
