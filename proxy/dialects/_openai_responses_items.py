"""Reads the items of a conversation with the responses API, and finds the ids in them of what the upstream keeps.

Laws: an item that holds all it says needs no id, and loses one that was not given to its tenant; any other item is what
its id names, so it has to be the tenant's own.
"""

from __future__ import annotations

from typing import Any

from proxy.dialects import _request as request
from proxy.dialects._names import names
from proxy.dialects._openai_responses_tools import check_tools
from proxy.dialects._texts import FREE
from proxy.exchange import Kept
from proxy.keyed.issued_ids import place
from proxy.wire import GONE, Path

_ROLES = frozenset({"assistant", "developer", "system", "user"})
_PARTS = frozenset({"input_file", "input_image", "input_text", "output_text", "refusal", "summary_text", "text"})
# Items that hold all that they say, whatever their id.
_WHOLE = names(
    "additional_tools apply_patch_call apply_patch_call_output compaction_trigger computer_call_output "
    "configuration_update custom_tool_call custom_tool_call_output function_call function_call_output "
    "local_shell_call_output message shell_call shell_call_output tool_search_call tool_search_output"
)
_KINDS = _WHOLE | names(
    "code_interpreter_call compaction computer_call file_search_call image_generation_call item_reference "
    "local_shell_call program program_output reasoning web_search_call"
)
_OFFERS = frozenset({"additional_tools", "tool_search_output"})  # items that offer tools
_MAX_ITEMS = 10_000


def items_kept(body: dict[str, Any]) -> list[Kept]:
    """Check the `input`, a string or a list of items, and return the ids in it; a stored prompt may do without it."""
    items = body.get("input")
    if type(items) is str or (items is None and body.get("prompt") is not None):
        return []
    if type(items) is not list or not 0 < len(items) <= _MAX_ITEMS:
        raise request.wrong("input", f"a string or a list of 1 to {_MAX_ITEMS:,} items")
    found: list[Kept] = []
    for index, item in enumerate(items):
        if type(item) is not dict:
            raise request.wrong(f"input[{index}]", "an item")
        role, content = item.get("role"), item.get("content")
        if len(item) == 2 and type(content) is str and type(role) is str and role in _ROLES:
            continue  # most are just a role and a text
        found += _of_item(item, ("input", index))
    return found


def _of_item(item: dict[str, Any], path: Path) -> list[Kept]:
    where = place(path)
    kind = item.get("type")
    if kind is None:
        kind = "message" if "role" in item else "item_reference"
    if type(kind) is not str or kind not in _KINDS:
        raise request.wrong(f"{where}.type", "a type of item that this proxy knows")
    if kind == "message":
        if type(role := item.get("role")) is not str or role not in _ROLES:
            raise request.wrong(f"{where}.role", f"one of {', '.join(sorted(_ROLES))}")
        if type(item.get("content")) is not str:
            _check_parts(item.get("content"), f"{where}.content")
    elif kind.endswith("_output") and type(item.get("output")) is list:
        _check_outputs(item["output"], f"{where}.output")
    if kind in _OFFERS:
        check_tools(item, f"{where}.")
    item, found = _uncited(item, path)
    found += request.kept_ids(item, path, FREE)
    given = item.get("id")
    if type(given) is str:
        found.append(Kept((*path, "id"), GONE) if kind in _WHOLE else Kept((*path, "id")))
    elif given is not None or kind == "item_reference":
        raise request.wrong(f"{where}.id", "the id of an item")
    return found


def _check_parts(parts: object, where: str) -> None:
    if type(parts) is not list:
        raise request.wrong(where, "a string or a list of parts")
    for index, part in enumerate(parts):
        kind = part.get("type") if type(part) is dict else None
        if type(kind) is not str or kind not in _PARTS:
            raise request.wrong(f"{where}[{index}]", f"a content part of type {', '.join(sorted(_PARTS))}")


def _check_outputs(outputs: list[Any], where: str) -> None:
    """Check that the parts of a tool's output are objects; shells and searches have part types of their own."""
    for index, part in enumerate(outputs):
        if type(part) is not dict:
            raise request.wrong(f"{where}[{index}]", "an object")


def _uncited(item: dict[str, Any], path: Path) -> tuple[dict[str, Any], list[Kept]]:
    """Return an item without what it cites of earlier answers by the ids of files, and the places to remove.

    A citation says nothing new, and its files need not be the tenant's, so it is left out.
    """
    found: list[Kept] = []
    if item.get("results"):
        found.append(Kept((*path, "results"), None))
        item = {**item, "results": None}
    content = item.get("content")
    if type(content) is list:
        cited = [index for index, part in enumerate(content) if type(part) is dict and part.get("annotations")]
        if cited:
            found += [Kept((*path, "content", index, "annotations"), []) for index in cited]
            item = {**item, "content": [_without_annotations(part) for part in content]}
    return item, found


def _without_annotations(part: Any) -> Any:  # noqa: ANN401 - a part of a JSON document, of a kind that may not be checked
    return {**part, "annotations": []} if type(part) is dict else part
