"""Lowers how much a request puts before the model: how many tools it offers, how many images it shows.

Laws: a tool that `tool_choice` names stays, if there is room, and nothing refers to a tool that is gone, as APIs would
refuse that. A sentence replaces each image, and each result with nothing left in it, so that the model knows of it and
no list of parts is empty. Nothing else of a message changes, nor any argument of a call.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from operator import is_not
from typing import Any, Final

from proxy.tools_and_images import (
    HOLDERS,
    IMAGES,
    SCREENS,
    count_images,
    count_tools,
    filled_in,
    images_within,
    is_made,
    kind_of,
    tools_offered,
    tools_within,
)

# Members that offer tools, and that choose one; the second pair is the older form of OpenAI's API.
_OFFERED = (("tools", "tool_choice"), ("functions", "function_call"))
_UNNAMED = frozenset({"allowed_tools", "custom", "function"})  # types of tools with names; other types are names
LEFT_OUT: Final = {"type": "text", "text": "[An image was left out here.]"}
# A screenshot can be nothing but an image: 334 by 26 pixels that say "An image was left out here."
PICTURE: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAU4AAAAaAQAAAADwQIiRAAAAqElEQVR42uWTQQpDMQhEhWwLOUy3glcPZCt4FSFb"
    "wY6/8D/dNe2uzcLEmQcjQijfPUG/ira6XlWHInI85fS20DixaxZIy75EVdLj7hwuada8w20remYzRTOdJ6w9lKYl+NQwAxqGrIhR0VBQ2ZRh7aFF"
    "APVOo6caVVbQutAYt4T1EfqMVo2sNldyof2opfV91BkDNEQvoYHdSVs5sSy3CdQZyh7693/rASN4z5pQoleIAAAAAElFTkSuQmCC"
)
_REFERENCE = "tool_reference"  # Anthropic's block that names a tool which a search has found
_NO_TOOL: Final = {"type": "text", "text": "[What was found was left out here.]"}
_CONVERSATIONS = ("messages", "input")


def fewer_tools(body: dict[str, Any], most: int) -> dict[str, Any]:
    """Return the members to change so that at most `most` tools are offered: the first ones.

    Tools that a conversation offers, such as search results, come after those; of these the last ones stay.
    """
    changed: dict[str, Any] = {}
    items = body.get("input")
    items = items if type(items) is list else []
    choice = body.get("tool_choice")
    wanted = _wanted(body.get("tools"), items, set(_names(choice)))
    left = most
    for offered, chosen in _OFFERED:
        tools, room = body.get(offered), most - (wanted is not None)
        if type(tools) is list and count_tools(tools) > room:
            referred = set(_references(body.get("messages")))
            changed[offered] = kept = _kept(tools, room, set(_names(body.get(chosen))), referred)
            if gone := referred.intersection(_names(tools)).difference(_names(kept)):
                changed["messages"] = [_unreferred(message, gone) for message in body["messages"]]
        left -= count_tools(changed.get(offered, tools))
    changed |= _fewer_within(items, max(0, left), set(_names(choice)), wanted)
    if changed and type(choice) is dict:
        kept = [changed.get("tools", body.get("tools")), *tools_offered(changed.get("input", items)).values()]
        gone = set(_names([body.get("tools"), *tools_offered(items).values()])).difference(_names(kept))
        changed |= _chosen(choice, gone)
    return changed


def _wanted(tools: object, items: list[Any], chosen: set[str]) -> int | None:
    """Return the place of the last item that offers a chosen tool; None if `tools` does, or no item."""
    if not chosen or not chosen.isdisjoint(_names(tools)):
        return None
    offers = reversed(tools_offered(items).items())
    return next((place for place, each in offers if not chosen.isdisjoint(_names(each))), None)


def _fewer_within(items: list[Any], most: int, chosen: set[str], wanted: int | None) -> dict[str, Any]:
    """Return a conversation's items with at most `most` tools in them, the last ones; nothing if they have no more.

    One of those tools is kept for the item at the place `wanted`.
    """
    fewer = list(items)
    for place, tools in reversed(tools_offered(items).items()):
        room = most - (wanted is not None and place > wanted)
        if count_tools(tools) > room:
            fewer[place] = {**items[place], "tools": _kept(tools, room, chosen, set())}
        most -= count_tools(fewer[place]["tools"])
    return {"input": fewer} if any(map(is_not, fewer, items)) else {}


def _chosen(choice: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    """Return the tool choice, if it lists allowed tools, without those that are gone."""
    if type(allowed := choice.get("allowed_tools")) is dict:
        return {"tool_choice": {**choice, "allowed_tools": _without(allowed, gone)}}
    return {"tool_choice": _without(choice, gone)} if type(choice.get("tools")) is list else {}


def _references(node: object) -> Iterator[str]:
    """Yield the names by which results in messages refer to tools that a search has found."""
    for part in node if type(node) is list else ():
        if type(part) is not dict:
            continue
        if part.get("type") == _REFERENCE:
            if type(name := part.get("tool_name")) is str:
                yield name
        elif type(content := part.get("content")) is dict:
            yield from _references(content.get("tool_references"))
        else:
            yield from _references(content)


def _unreferred(part: Any, gone: Collection[str]) -> Any:  # noqa: ANN401 - a part of a JSON document
    """Return a message or a result without its references to tools that are gone."""
    content = part.get("content") if type(part) is dict else None
    if type(content) is dict and type(found := content.get("tool_references")) is list:
        return {**part, "content": {**content, "tool_references": [one for one in found if not _refers(one, gone)]}}
    if type(content) is not list:
        return part
    left = [_unreferred(one, gone) for one in content if not _refers(one, gone)]
    return {**part, "content": left or [_NO_TOOL]}


def _refers(part: object, gone: Collection[str]) -> bool:
    return type(part) is dict and part.get("type") == _REFERENCE and part.get("tool_name") in gone


def _without(allowed: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    """Return a list of allowed tools without those that are gone; others may be offered by what is kept upstream."""
    return {**allowed, "tools": [tool for tool in allowed.get("tools") or () if not gone.issuperset(_names(tool))]}


def _searches(tool: object) -> bool:
    return type(tool) is dict and str(tool.get("type")).startswith("tool_search")


def _kept(tools: list[Any], most: int, chosen: set[str], referred: set[str]) -> list[Any]:
    # The first place is for a tool that the model has from the beginning, such as its search: APIs refuse a call whose
    # tools all have to be searched for.
    at_once = [place for place, tool in enumerate(tools) if not (type(tool) is dict and tool.get("defer_loading"))]
    first = next((place for place in at_once if _searches(tools[place])), at_once[0] if at_once else None)
    undeferred = set(at_once)

    def rank(place: int) -> int:
        names = set(_names(tools[place]))
        wanted = (not chosen.isdisjoint(names), place == first, not referred.isdisjoint(names), place in undeferred)
        return next((number for number, holds in enumerate(wanted) if holds), len(wanted))

    kept: dict[int, Any] = {}
    for place in sorted(range(len(tools)), key=rank):
        if most > 0:
            inner = tools_within(tools[place])
            of_it = inner if inner is None else _kept(inner, most, chosen, referred)
            kept[place] = tools[place] if of_it is None else {**tools[place], "tools": of_it}
            most -= count_tools([kept[place]])
    return [kept[place] for place in sorted(kept)]


def _names(node: object) -> Iterator[str]:
    """Yield the names of tools in a tool, a list of them or a choice; names of parameters are none."""
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

    Images in the variables of a stored prompt come before the conversation.
    """
    name = next((name for name in _CONVERSATIONS if type(body.get(name)) is list), "")
    messages, filled = body.get(name, []), filled_in(body)
    given = [message for message in messages if type(message) is dict]
    count = count_images(list(filled.values())) + sum(map(images_within, given))
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


class _Cut:
    """Leaves out the first images, also within tool results and documents."""

    def __init__(self, count: int) -> None:
        self._left = count

    def within(self, holder: dict[str, Any]) -> dict[str, Any]:
        """Return a message, a part or a source with fewer images in its content."""
        source = holder.get("source")
        if self._left and is_made(holder):
            self._left -= 1
            holder = {**holder, "result": PICTURE.partition(",")[2]}
        for name in HOLDERS:
            if self._left and type(parts := holder.get(name)) is list:
                holder = {**holder, name: [self.part(part) for part in parts]}
            elif self._left and type(parts) is dict:
                holder = {**holder, name: self._shown(parts)}
        if self._left and type(source) is dict:
            holder = {**holder, "source": self.within(source)}
        return holder

    def _shown(self, shown: dict[str, Any]) -> dict[str, Any]:
        """Return a screenshot's replacement, or a tool's result that is one part."""
        if (kind := kind_of(shown)) not in SCREENS:
            return self.within(shown)
        self._left -= 1
        return {"type": kind, "image_url": PICTURE}

    def part(self, part: Any) -> Any:  # noqa: ANN401 - a part of a JSON document
        """Return a part, or its replacement if it is an image."""
        if not self._left or type(part) is not dict:
            return part
        if (kind := kind_of(part)) in IMAGES:
            self._left -= 1
            return {**LEFT_OUT, "type": IMAGES[kind]}
        return self.within(part)
