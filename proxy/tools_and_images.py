"""Counts what a request puts before the model besides texts: the tools it offers, the images it shows.

Law: rules compare these counts and `clamp` leaves out what is counted here, so both mean the same. Images count also in
places where no API looks: an image that only one of the two saw would take the place of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Types of items in OpenAI's conversations that offer tools to the model, such as the result of a tool search.
OFFERING = ("additional_tools", "tool_search_output")
# Types of image parts, each with the type of a text part in its place.
IMAGES = {"image": "text", "image_url": "text", "input_image": "input_text", "computer_screenshot": "input_text"}
SCREENS = frozenset({"computer_screenshot", "input_image"})  # types of screenshots, as a computer tool returns them
HOLDERS = ("content", "output")  # members of a message or a tool's output that hold parts or a screenshot
_MADE = "image_generation_call"  # the item of a picture that a tool made, which is its result in base64


def tools_within(tool: object) -> list[Any] | None:
    """Return the tools of a namespace, None if the tool is no namespace."""
    inner = tool.get("tools") if type(tool) is dict and tool.get("type") == "namespace" else None
    return inner if type(inner) is list else None


def count_tools(tools: object) -> int:
    """Count the tools in a list and in its namespaces; an empty namespace counts as one, what is no list as none."""
    if type(tools) is not list:
        return 0
    return sum([1 if (inner := tools_within(tool)) is None else max(1, count_tools(inner)) for tool in tools])


def tools_offered(items: list[Any]) -> dict[int, list[Any]]:
    """Return the tools that a conversation offers, by the places of their items."""
    offering = [place for place, item in enumerate(items) if type(item) is dict and item.get("type") in OFFERING]
    return {place: tools for place in offering if type(tools := items[place].get("tools")) is list}


def filled_in(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of the stored prompt that a request names, by name."""
    prompt = body.get("prompt")
    filled = prompt.get("variables") if type(prompt) is dict else None
    return filled if type(filled) is dict else {}


def count_images(parts: object) -> int:
    """Count the images among parts, or in a tool's result that is one part."""
    if type(parts) is dict:
        return 1 if kind_of(parts) in SCREENS else images_within(parts)
    count = 0
    for part in parts if type(parts) is list else ():
        if type(part) is dict:
            count += 1 if kind_of(part) in IMAGES else images_within(part)
    return count


def images_within(holder: dict[str, Any]) -> int:
    """Count the images of a message, a part or a source: in its content, and itself if a tool made it."""
    count = int(is_made(holder))
    for name in HOLDERS:
        if name in holder:
            count += count_images(holder[name])
    return count + (images_within(source) if type(source := holder.get("source")) is dict else 0)


def is_made(item: dict[str, Any]) -> bool:
    """Tell whether an item is a picture that a tool made."""
    return item.get("type") == _MADE and type(result := item.get("result")) is str and result != ""


def kind_of(part: dict[str, Any]) -> str:
    """Return a part's type, empty if it has none that is a text."""
    kind = part.get("type")
    return kind if type(kind) is str else ""
