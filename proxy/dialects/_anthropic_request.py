"""Reads a request for a message: which members it may have, and what may stand in them.

Only what is interpreted here or by a quota is checked for its type; the rest is the upstream's to judge.
"""

from __future__ import annotations

import re
from typing import Any

from proxy.dialects import _request as request
from proxy.dialects._names import names
from proxy.dialects._texts import FREE
from proxy.errors import BadRequest
from proxy.exchange import Call, Kept, Work

# The top-level members of the API, as of 2026: those that no model sees, and all.
SETTINGS = names(
    "cache_control container diagnostics inference_geo max_tokens metadata model service_tier speed stop_sequences "
    "stream temperature thinking top_k top_p"
)
KNOWN = SETTINGS | names("messages output_config system tool_choice tools")
# The members of a request that only counts another's tokens.
COUNTED = names("cache_control messages model output_config speed stream system thinking tool_choice tools")
_ROLES = frozenset({"user", "assistant", "system"})
_BLOCKS = names(
    "bash_code_execution_tool_result browser_state code_execution_tool_result compaction container_upload document "
    "image redacted_thinking search_result server_tool_use text text_editor_code_execution_tool_result thinking "
    "tool_reference tool_result tool_search_tool_result tool_use web_fetch_tool_result web_search_result "
    "web_search_tool_result"
)
_SOURCES = frozenset({"base64", "content", "file", "text", "url"})
# Client tools, and server tools whose type ends in the date of their version. Any other type may keep state, or reach
# another server with a credential from the body.
_TOOL = re.compile(
    r"custom|(?:bash|browser_toolset|code_execution|computer|computer_toolset|memory|text_editor|tool_search_tool_bm25"
    r"|tool_search_tool_regex|web_fetch|web_search)_\d{8}|tool_search_tool_(?:bm25|regex)"
)
# Members besides the messages in which an id may stand; diagnostics compares with an earlier request.
_NAMING = frozenset({"container", "diagnostics", "system"})
_MAX_STOPS = 1024
_MAX_TOOLS = 10_000  # as many as the API searches through, of which the model sees a few


def call_of(document: dict[str, Any], accepted: frozenset[str]) -> Call:
    """Check a document that was read strictly; `accepted` are the top-level names that may occur."""
    model, kept = _prompt(document, accepted)
    most = request.whole(document, "max_tokens", 0)  # 0 warms the prompt cache and generates nothing
    if most is None:
        raise request.wrong("max_tokens", "an integer of at least 0")
    request.stops(document, "stop_sequences", _MAX_STOPS)
    call = Call(model, request.flag(document, "stream"), document, most, instruct=instructed, kept=kept)
    if document.get("container") is not None or _runs_code(document):
        call.gives = given_ids
    return call


def count_of(document: dict[str, Any], accepted: frozenset[str]) -> Call:
    """Check a document that asks for a count of tokens, as strictly as if it was to be answered."""
    model, kept = _prompt(document, accepted)
    if request.flag(document, "stream"):
        raise BadRequest("`stream` must not be true: a count of tokens is one number.", param="stream")
    return Call(model, False, document, 0, kept=kept, work=Work.COUNT)


def instructed(body: dict[str, Any], text: str) -> dict[str, Any]:
    """Return a body with one more instruction, behind all others, so that what the API cached of those stays valid."""
    system = body.get("system")
    if not system:
        return {**body, "system": text}
    if type(system) is list:
        return {**body, "system": [*system, {"type": "text", "text": text}]}
    return {**body, "system": f"{system}\n\n{text}"}


def given_ids(document: dict[str, Any]) -> list[str]:
    """Return the ids that a document of the answer gives out: of the container where code ran, and of files it made."""
    holders = [document, document.get("message"), document.get("delta")]
    given = [holder.get("container") for holder in holders if type(holder) is dict]
    ids = [container.get("id") for container in given if type(container) is dict]
    content = document.get("content")
    for block in (*(content if type(content) is list else ()), document.get("content_block")):
        if type(block) is dict:
            ids += [part.get("file_id") for part in (block, *_made(block.get("content"))) if type(part) is dict]
    return [each for each in ids if type(each) is str]


def _made(result: object) -> list[Any]:
    """Return the entries for files that code has made, in the result of a tool that ran it."""
    files = result.get("content") if type(result) is dict else None
    return files if type(files) is list else []


def _runs_code(document: dict[str, Any]) -> bool:
    """Tell whether code may run for a request: web tools run it unasked."""
    tools = document.get("tools") or ()
    return any(str(tool.get("type")).startswith(("code_execution", "web_")) for tool in tools)


def _prompt(document: dict[str, Any], accepted: frozenset[str]) -> tuple[str, tuple[Kept, ...]]:
    """Check all that the model reads; return the model's name, and the ids of what the upstream keeps."""
    request.check_names(document, accepted)
    model = request.model(document)
    kept: list[Kept] = []
    for index, message in enumerate(request.messages(document, _ROLES)):
        kept += _check_message(message, index)
    for name in _NAMING & document.keys():
        kept += request.kept_ids({name: document[name]}, ())
    if document.get("system") is not None:
        _check_content(document["system"], "system")
    for index, tool in enumerate(request.objects(document, "tools", _MAX_TOOLS)):
        kind = tool.get("type")
        if kind is not None and (type(kind) is not str or not _TOOL.fullmatch(kind)):
            raise request.wrong(f"tools[{index}].type", "a type of tool that this proxy knows")
    return model, tuple(kept)


def _check_message(message: dict[str, Any], index: int) -> list[Kept]:
    """Check a message, and return the ids in it of what the upstream keeps."""
    content = message.get("content")
    if type(content) is str and len(message) == 2:
        return []
    kept = request.kept_ids(message, ("messages", index), FREE)
    _check_content(content, f"messages[{index}].content")
    return kept


def _check_content(content: object, where: str) -> None:
    if type(content) is list:
        for index, block in enumerate(content):
            _check_block(block, f"{where}[{index}]")
    elif type(content) is not str:
        raise request.wrong(where, "a string or a list of content blocks")


def _check_block(block: object, where: str) -> None:
    if type(block) is not dict:
        raise request.wrong(where, "a content block")
    kind = block.get("type")
    if type(kind) is not str or kind not in _BLOCKS:
        raise request.wrong(f"{where}.type", "a type of content block that this proxy knows")
    source = block.get("source")
    if type(source) is dict:
        _check_source(source, f"{where}.source")
    if kind == "compaction" and block.get("tool_changes"):
        raise request.wrong(f"{where}.tool_changes", "left out: tools are offered in `tools` only")
    # What server tools return has parts of kinds of its own.
    if kind in ("tool_result", "search_result") and block.get("content") is not None:
        _check_content(block["content"], f"{where}.content")


def _check_source(source: dict[str, Any], where: str) -> None:
    kind = source.get("type")
    if type(kind) is not str or kind not in _SOURCES:
        raise request.wrong(f"{where}.type", f"one of {', '.join(sorted(_SOURCES))}")
    if kind == "content":
        _check_content(source.get("content"), f"{where}.content")
