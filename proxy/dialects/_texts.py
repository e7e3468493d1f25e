"""Finds every string that a model would see in a request document.

What is left out is named here; an unknown member is taken for text, so a new or misspelt one hides nothing. Strings are
collected in a list: in a chain of generators each would cost as much as the chain is deep.
"""

from __future__ import annotations

from typing import Any

from proxy.dialects._file_text import file_text, is_data
from proxy.dialects._names import names
from proxy.exchange import Text

# Identifiers and choices among fixed words. They are left out only while they look like one.
_LABELS = names(
    "call_id container_id detail effort format function_call id media_type mode phase role search_context_size status "
    "syntax tool_call_id tool_choice tool_use_id ttl type verbosity"
)
_MAX_LABEL_CHARS = 64
# Encoded bytes and seals, unless the object says that it is plain text, or they are a plain text file; in definitions
# of tools only if the object says base64.
_OPAQUE = names("data encrypted_content encrypted_index encrypted_stdout file_data signature thought_signature")
# Members that hold a picture or a sound, as an address or in base64, or a seal, in objects of these types.
_TYPED = {
    "audio_url": ("audio_url",),
    "document_url": ("document_url",),
    "image_url": ("computer_screenshot", "image_url", "input_image"),
    "video_url": ("video_url",),
    "input_audio": ("input_audio",),
    "result": ("image_generation_call",),
    "fingerprint": ("program",),
}
# Members that may hold their address, or the data, in an inner object.
_ADDRESSED = names("audio_url document_url image_url video_url")
# Members whose value is a document of the client's own making: a schema, or the arguments or environment of a call.
FREE = names("arguments env input input_examples input_schema output_schema parameters schema")
# Words of JSON Schema: as names they say nothing, as values they are types.
_WORDS = names(
    "$defs $id $ref $schema additionalProperties allOf anyOf array boolean const default definitions description enum "
    "examples exclusiveMaximum exclusiveMinimum format integer items maxItems maxLength maximum minItems minLength "
    "minimum not null number object oneOf pattern prefixItems properties required string title type"
)
_MAX_PLACE_CHARS = 128  # deeper places are cut off: a body can have many strings, each far down


def texts(body: dict[str, Any], settings: frozenset[str], known: frozenset[str], items: str = "") -> list[Text]:
    """Return every string of a checked request that the model would see, in the order of the body.

    `settings` are the top-level members that no model sees, `known` those that the dialect knows, `items` the one that
    holds a conversation in items. The role of a text outside the messages is the name of its top-level member.
    """
    found: list[Text] = []
    for name, value in body.items():
        if name in settings:
            continue
        if name == "messages":
            for index, message in enumerate(value):
                if len(message) == 2 and type(content := message.get("content")) is str:
                    found.append(Text(message["role"], f"messages[{index}].content", content))
                elif not _plain_parts(message, index, found):
                    _seen(message, message["role"], f"messages[{index}]", found)
        elif name == items:
            _items(value, name, found)
        elif name in known:
            _seen({name: value}, name, "", found)
        else:
            _free(value, name, name, found)
    return found


def _items(value: object, name: str, found: list[Text]) -> None:
    """Collect the texts of a conversation in items: one string, which is the user's, or items, some with a role."""
    if type(value) is not list:
        _seen(value, "user", name, found)
        return
    for index, item in enumerate(value):
        role = item.get("role") if type(item) is dict else "user"
        _seen(item, role if type(role) is str else "tool", f"{name}[{index}]", found)


def _plain_parts(message: dict[str, Any], index: int, found: list[Text]) -> bool:
    """Collect, cheaply, the texts of a message of a role and text parts alone; return False for any other."""
    content = message.get("content")
    if len(message) != 2 or type(content) is not list:
        return False
    role = message["role"]
    plain = [part["text"] for part in content if _is_plain(part)]
    if len(plain) != len(content):
        return False
    found += [Text(role, f"messages[{index}].content[{place}].text", text) for place, text in enumerate(plain)]
    return True


def _is_plain(part: object) -> bool:
    return type(part) is dict and len(part) == 2 and part.get("type") == "text" and type(part.get("text")) is str


def _seen(node: object, role: str, where: str, found: list[Text], within: str = "") -> None:
    """Collect every string of a node with the API's own members: a message, a part, a tool and such.

    `within` is the name of the member that holds the node.
    """
    if type(node) is str:
        found.append(Text(role, where, node))
    elif type(node) is list:
        for index, item in enumerate(node):
            _seen(item, role, _below(where, f"[{index}]"), found, within)
    elif type(node) is dict:
        _members(node, role, where, found, within)


def _members(node: dict[str, Any], role: str, where: str, found: list[Text], within: str) -> None:
    kind = node.get("type")
    for name, value in node.items():
        below = _below(where, f".{name[:_MAX_LABEL_CHARS]}")
        if name in FREE:
            _free(value, role, below, found)
        elif name == "variables" and within == "prompt" and type(value) is dict:
            for variable, filled in value.items():  # variables are named by their author
                _seen(filled, role, _below(below, f".{variable[:_MAX_LABEL_CHARS]}"), found)
        elif type(value) is not str or not _hidden(name, value, kind, within, role):
            _seen(value, role, below, found, name)
        elif _holds_file(name, value, within) and (text := file_text(value)):
            found.append(Text(role, below, text))


def _free(node: object, role: str, where: str, found: list[Text]) -> None:
    """Collect every string and every member's name of a schema or of a call's arguments."""
    if type(node) is str:
        if node not in _WORDS:
            found.append(Text(role, where, node))
    elif type(node) is list:
        for item in node:
            _free(item, role, where, found)
    elif type(node) is dict:
        for name, value in node.items():
            if name in _WORDS:
                _free(value, role, _below(where, f".{name}"), found)
            else:
                found.append(Text(role, where, name))
                _free(value, role, where, found)


def _hidden(name: str, value: str, kind: object, within: str, role: str) -> bool:
    if name in _LABELS:
        return len(value) <= _MAX_LABEL_CHARS and value.isascii() and " " not in value
    if name == "url":  # an image's or a document's; the model sees others as text
        return kind == "url" or within in _ADDRESSED or (kind == "image" and value.startswith("data:image/"))
    if name in _TYPED:
        return kind in _TYPED[name] or within == "input_image_mask"
    if role in ("functions", "tools"):  # definitions have no seals, and servers show them whole to the model
        return name in _OPAQUE and kind == "base64"
    return name in _OPAQUE and kind != "text"


def _holds_file(name: str, value: str, within: str) -> bool:
    return name == "file_data" or ("document_url" in (name, within) and is_data(value))


def _below(where: str, step: str) -> str:
    return (where + step).removeprefix(".") if len(where) < _MAX_PLACE_CHARS else where
