"""Addresses in a request that its upstream would fetch: pictures, sounds, files and documents given by URL.

Nothing is fetched or looked up here. Which host a name stands for is the upstream's to find out, and may change at each
look-up; only what the address itself says is told, so that a pack can be strict where the upstream is one of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any, ClassVar
from urllib.parse import urlsplit

from proxy.detectors.reading import rich_parts
from proxy.exchange import Exchange
from proxy.fields import Field, Value
from proxy.tools_and_images import filled_in

# Members of a conversation's parts that hold an address, or an object with it as `url`.
_MEMBERS = frozenset({"url", "image_url", "file_url", "audio_url", "document_url", "video_url"})
_BESIDE = frozenset({"system", "prompt", "tools"})  # members besides the messages that may have addresses
# Earlier words of a model or its tools, whose addresses nobody fetches any more: calls with their arguments, searches
# and what they found, drawings of code, visited pages and tabs, downloads, citations.
_CALLS = frozenset({"code_interpreter_call", "server_tool_use", "tool_search_call", "tool_use", "web_search_call"})
_LOOKED_AT = frozenset({"url_citation", "web_fetch_result", "web_search_result", "web_search_result_location"})
_SCHEMAS = frozenset({"input_schema", "output_schema", "parameters", "schema"})  # of tools and forms, with examples
_BROWSER, _OF_BROWSER = "browser_state", ("tabs", "state_changes")
_MOST = 1_000  # addresses looked at; more count as inner
_INNER_NAMES = re.compile(r"[^.]+|.*\.(?:local|localhost|internal|intranet|lan|corp|home|arpa|test|invalid)")
# What lenient parsers take for an IPv4 address: 2130706433, 0x7f.1, 127.1.
_NUMBER = re.compile(r"(?:.*\.)?(?:0x[0-9a-f]*|[0-9]+)")
_HOST_CHARS = 253
_HOST = re.compile(r"[a-z0-9._-]+")
_EMBEDDING = [(IPv6Address("64:ff9b::"), 96), (IPv6Address("64:ff9b:1::"), 48), (IPv6Address("::"), 96)]


class Addresses:
    """Adds `request.urls` and `request.inner_urls`."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field("request.urls", 0, "How many addresses it gives the upstream to fetch, of pictures, files and such."),
        Field(
            "request.inner_urls",
            0,
            "How many of these are not of a public host by https: inner names, odd or private addresses, other ports.",
        ),
    )

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        """Return how many addresses there are, and how many are inner ones."""
        if exchange.call is None:
            return {}
        body, parts = exchange.call.body, rich_parts(exchange)
        if not parts and _BESIDE.isdisjoint(body):
            return {}
        found: list[str] = []
        _collect(parts, found)
        if type(system := body.get("system")) is list:
            _collect(system, found)
        _collect(list(filled_in(body).values()), found)
        if type(tools := body.get("tools")) is list:
            _collect([tool.get("input_image_mask") for tool in tools if type(tool) is dict], found)
        if not found:
            return {}
        inner = sum(not _is_public(url) for url in found[:_MOST]) + max(0, len(found) - _MOST)
        return {"request.urls": len(found), "request.inner_urls": inner}


def _collect(conversation: list[Any], found: list[str]) -> None:
    """Find every address in a conversation's parts, however deep; texts, data, and what is in the past have none.

    A message, or what holds a part's address, is never in the past, whatever type it claims.
    """
    waiting: list[Any] = [conversation]
    for node in waiting:
        if type(node) is list:
            waiting += [item for item in node if type(item) is dict or type(item) is list]
            continue
        kind = node.get("type")
        if type(kind) is not str or "role" in node:
            kind = ""
        if kind in _CALLS:
            continue
        for name, value in node.items():
            if type(value) is dict or type(value) is list:
                if name in _MEMBERS and type(value) is dict:
                    waiting.append({**value, "type": ""})
                elif name not in _SCHEMAS and not _is_over(name, kind):
                    waiting.append(value)
            elif name in _MEMBERS and type(value) is str and value[:5].lower() != "data:" and kind not in _LOOKED_AT:
                found.append(value)


def _is_over(name: str, kind: str) -> bool:
    """Tell whether a member of an object of this type holds what was looked at in the past."""
    return (kind == _BROWSER and name in _OF_BROWSER) or (name == kind and kind in _LOOKED_AT)


def _is_public(url: str) -> bool:
    """Tell whether an address names a public host by https, with nothing odd in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme != "https" or port not in (None, 443):
        return False
    if len(host) > _HOST_CHARS or "@" in parts.netloc or "\\" in url or not url.isprintable():
        return False
    if host.startswith("[") or ":" in host:
        return _is_public_ip(host)
    host = host.removesuffix(".")
    if _NUMBER.fullmatch(host):
        return _is_public_ip(host)
    return _HOST.fullmatch(host) is not None and _INNER_NAMES.fullmatch(host) is None


def _is_public_ip(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        embeds = any(int(address) >> 128 - bits == int(net) >> 128 - bits for net, bits in _EMBEDDING)
        if embeds or address.ipv4_mapped or address.sixtofour or address.teredo:
            return False  # it embeds another address
    return address.is_global and not address.is_multicast
