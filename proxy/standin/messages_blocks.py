"""The content blocks of an Anthropic request: which are well-formed, and where the prompt is marked for caching."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from proxy.standin import tokens
from proxy.standin.prompt_cache import Prefix
from proxy.standin.reading import Json, a_string, an_object, canonical, missing, objects, wrong
from proxy.standin.signing import ThoughtSigner

_Check = Callable[[str, Json], object]


def check_blocks(document: Json, name: str, place: str, signer: ThoughtSigner) -> None:
    """Refuse a list of blocks that the real API would refuse, a thought that is not this process's included."""
    for at, block in objects(document, name, place):
        kind = a_string(block, "type", at)
        if kind == "thinking":
            _check_thinking(at, block, signer)
        elif kind == "redacted_thinking":
            wrong(at + "data", "invalid `data` in `redacted_thinking` block")  # none is ever given out here
        elif (check := _CHECKS.get(kind)) is not None:
            check(at, block)
        elif not kind.endswith("_tool_result"):
            wrong(at + "type", f"input tag '{kind}' does not match any of the expected tags")


def marks_of(document: Json) -> list[Prefix]:
    """Return the prompt's prefixes that end at a `cache_control` mark, in the order tools, system, messages."""
    prefixes: list[Prefix] = []
    digest, count = hashlib.blake2b(digest_size=16), 0
    for piece in _pieces(document):
        content = {name: value for name, value in piece.items() if name != "cache_control"}
        digest.update(canonical(content))
        count += tokens.count_part(content) if "type" in content else tokens.count_document(content)
        if piece.get("cache_control") is not None:
            prefixes.append(Prefix(digest.digest(), count))
    return prefixes


def _pieces(document: Json) -> Iterator[Json]:
    for _, tool in objects(document, "tools"):
        yield tool
    for holder, name in ((document, "system"), *((message, "content") for message in document["messages"])):
        content = holder.get(name)
        if isinstance(content, str):
            yield {"type": "text", "text": content}
        else:
            yield from content or ()


def _check_thinking(at: str, block: Json, signer: ThoughtSigner) -> None:
    if not signer.is_ours(a_string(block, "thinking", at), a_string(block, "signature", at)):
        wrong(at + "signature", "invalid `signature` in `thinking` block")


def _check_source(at: str, block: Json) -> None:
    if an_object(block, "source", at) is None:
        missing(at + "source")


def _check_use(at: str, block: Json) -> None:
    a_string(block, "id", at)
    a_string(block, "name", at)
    if an_object(block, "input", at) is None:
        missing(at + "input")


_CHECKS: dict[str, _Check] = {
    "text": lambda at, block: a_string(block, "text", at),
    "image": _check_source,
    "document": _check_source,
    "tool_use": _check_use,
    "server_tool_use": _check_use,
    "tool_result": lambda at, block: a_string(block, "tool_use_id", at),
    "search_result": lambda at, block: a_string(block, "title", at),
}
