"""Lowers how much a request puts before the model: how many tools it offers, how many images it shows.

Laws: a tool that `tool_choice` names stays, as far as there is room; in an image's place stands a sentence, so that the
model knows of it and no list of parts is left empty; nothing else of a message changes, no argument of a call either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

# Where tools are offered, and where one of them is chosen; the second is what OpenAI's API had first.
_OFFERED = (("tools", "tool_choice"), ("functions", "function_call"))
_UNNAMED = frozenset({"allowed_tools", "custom", "function"})  # types whose tools have names; others are their names
# Types of image parts, with the type of a text beside them.
_IMAGES = {"image": "text", "image_url": "text", "input_image": "input_text"}
LEFT_OUT: Final = {"type": "text", "text": "[An image was left out here.]"}
_CONVERSATIONS = ("messages", "input")
_HOLDERS = ("content", "output")  # members of a message or a tool's output that hold parts


def fewer_tools(body: dict[str, Any], most: int) -> dict[str, Any]:
    """Return the members to change so that at most `most` tools are offered: the first ones."""
    changed: dict[str, Any] = {}
    for offered, chosen in _OFFERED:
        tools, choice = body.get(offered), body.get(chosen)
        if type(tools) is list and sum(map(_count, tools)) > most:
            kept = _kept(tools, most, set(_names(choice)))
            changed[offered] = kept
            if type(choice) is dict and type(allowed := choice.get("allowed_tools")) is dict:
                changed[chosen] = {**choice, "allowed_tools": _only(allowed, kept)}
            elif type(choice) is dict and type(choice.get("tools")) is list:
                changed[chosen] = _only(choice, kept)
    return changed


def _only(allowed: dict[str, Any], kept: list[Any]) -> dict[str, Any]:
    """Return what allows some tools, without those that are not there any more."""
    left = set(_names(kept))
    return {**allowed, "tools": [tool for tool in allowed.get("tools") or () if not left.isdisjoint(_names(tool))]}


def _inner(tool: object) -> list[Any] | None:
    """Return the tools in a namespace, None if a tool is none."""
    inner = tool.get("tools") if type(tool) is dict and tool.get("type") == "namespace" else None
    return inner if type(inner) is list else None


def _count(tool: object) -> int:
    inner = _inner(tool)
    return 1 if inner is None else max(1, sum(map(_count, inner)))


def _kept(tools: list[Any], most: int, chosen: set[str]) -> list[Any]:
    wanted = [place for place, tool in enumerate(tools) if not chosen.isdisjoint(_names(tool))]
    # Those first that the model has from the beginning: with none but such as it has to search for, APIs refuse a call.
    others = [place for place in range(len(tools)) if place not in wanted]
    others.sort(key=lambda place: type(tools[place]) is dict and bool(tools[place].get("defer_loading")))
    kept: dict[int, Any] = {}
    for place in (*wanted, *others):
        if most > 0:
            inner = _inner(tools[place])
            kept[place] = tools[place] if inner is None else {**tools[place], "tools": _kept(inner, most, chosen)}
            most -= _count(kept[place])
    return [kept[place] for place in sorted(kept)]


def _names(node: object) -> Iterator[str]:
    """Yield the names of tools in a tool, a list of them or a choice; what parameters are called is none."""
    if type(node) is list:
        for item in node:
            yield from _names(item)
    elif type(node) is dict:
        if type(name := node.get("name")) is str:
            yield name
        elif type(kind := node.get("type")) is str and kind not in _UNNAMED:
            yield kind
        for member in ("function", "custom", "allowed_tools", "tools"):
            yield from _names(node.get(member))


def fewer_images(body: dict[str, Any], most: int) -> dict[str, Any]:
    """Return the members to change so that at most `most` images are shown: the last ones.

    What is filled into a stored prompt comes before the conversation.
    """
    name = next((name for name in _CONVERSATIONS if type(body.get(name)) is list), "")
    messages, prompt = body.get(name, []), body.get("prompt")
    variables = prompt.get("variables") if type(prompt) is dict else None
    filled = variables if type(variables) is dict else {}
    given = [message for message in messages if type(message) is dict]
    count = _images_in(list(filled.values()))
    count += sum([_images_in(message.get(holder)) for message in given for holder in _HOLDERS])
    if count <= most:
        return {}
    cut = _Cut(count - most)
    changed: dict[str, Any] = {}
    if filled:
        left = {variable: cut.part(value) for variable, value in filled.items()}
        changed["prompt"] = {**body["prompt"], "variables": left}
    if name:
        changed[name] = [cut.within(message) if type(message) is dict else message for message in messages]
    return changed


def _images_in(parts: object) -> int:
    count = 0
    for part in parts if type(parts) is list else ():
        if type(part) is dict:
            source = part.get("source")
            count += part.get("type") in _IMAGES
            count += _images_in(part.get("content")) + (
                _images_in(source.get("content")) if type(source) is dict else 0
            )
    return count


class _Cut:
    """Leaves the first images out; parts may lie in the result of a tool or in a document."""

    def __init__(self, count: int) -> None:
        self._left = count

    def within(self, holder: dict[str, Any]) -> dict[str, Any]:
        """Return a message, a part or a source with fewer images in its content."""
        source = holder.get("source")
        for name in _HOLDERS:
            if self._left and type(parts := holder.get(name)) is list:
                holder = {**holder, name: [self.part(part) for part in parts]}
        if self._left and type(source) is dict:
            holder = {**holder, "source": self.within(source)}
        return holder

    def part(self, part: Any) -> Any:  # noqa: ANN401 - a part of a JSON document
        """Return a part, or what stands in its place."""
        if not self._left or type(part) is not dict:
            return part
        if (kind := part.get("type")) in _IMAGES:
            self._left -= 1
            return {**LEFT_OUT, "type": _IMAGES[kind]}
        return self.within(part)
