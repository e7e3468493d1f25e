"""Turns an upstream's error answer into one that a client may see.

Laws: a client is told what is wrong with its own request, in the upstream's words; of what is between us and the
upstream (credential, limits, outages) it is told in general words only.
"""

from __future__ import annotations

import re
from typing import Any, Final

from proxy.dialects._answer_json import load
from proxy.dialects._answers import member
from proxy.errors import BadRequest, NotFound, ProxyError, TooLarge, Unavailable, UpstreamFailed, UpstreamTimeout

_MAX_MESSAGE_CHARS = 1_000
_MAX_WORD_CHARS = 128
_MAX_BODY_BYTES = 1 << 16  # an error answer takes a few hundred; a larger one is a page of something else
_SECRETS = re.compile(r"\b(?:sk|org|proj|rk|sess)-[\w*-]{10,}|\bBearer\s+\S+")
_THE_CLIENTS: dict[int, type[ProxyError]] = {400: BadRequest, 404: NotFound, 413: TooLarge, 422: BadRequest}
# Error codes about the request; others tell of our organisation, its keys and its limits.
_OF_THE_REQUEST: Final = re.compile(r"(?:available_tools|compaction|image|tool)_[a-z_]{1,64}")
_MAX_PIXELS: Final = 1 << 32
_MAX_PLACES: Final = 1_000
_PLACE: Final = re.compile(r"[a-z_]{1,32}(?:\.(?:[a-z_]{1,32}|[0-9]{1,6})){0,16}")
_KEPT = frozenset({500, 502, 503, 529})


def upstream_failure(status: int, body: bytes, wait: float | None, *, code: str) -> ProxyError:
    """Return what to tell the client; `code` names the member of the error object that says which error it is.

    `wait` is how many seconds the upstream asked to be left alone; the client is asked to wait as long.
    """
    if status in _THE_CLIENTS:
        return _with_words(_THE_CLIENTS[status], status, body, code)
    if status == 429:
        # The limit is that of our credential: to the client it is an outage, and no quota of its own.
        message = "The model API is busy. Try again shortly."
        return Unavailable(message, code="upstream_rate_limited", retry_after=max(1.0, wait or 0.0))
    if status in (408, 504):
        return UpstreamTimeout("The model API took too long.")
    kept = status if status in _KEPT else 502
    return UpstreamFailed("The model API could not answer.", status=kept, retry_after=wait or None)


def _with_words(kind: type[ProxyError], status: int, body: bytes, code: str) -> ProxyError:
    error = _error_in(body) if len(body) <= _MAX_BODY_BYTES else None
    message = member(error, "message")
    words = _printable(_SECRETS.sub("[removed]", message)) if type(message) is str else ""
    return kind(
        words[:_MAX_MESSAGE_CHARS].strip() or "The model API refused the request.",
        status=status,
        code=_word(member(error, code)),
        param=_word(member(error, "param")),
        details=_details(member(error, "details")),
    )


def _error_in(body: bytes) -> object:
    """Return an answer's error object: its `error` member, or all of it; Gemini's API puts it into a list of one."""
    body = body.strip()
    document = load(body[1:-1] if body.startswith(b"[") and body.endswith(b"]") else body)
    return document if member(document, "object") == "error" else member(document, "error")


def _word(value: object) -> str | None:
    return value if type(value) is str and value.isprintable() and 0 < len(value) <= _MAX_WORD_CHARS else None


def _details(given: object) -> dict[str, Any] | None:
    """Return what Anthropic's API tells programs about an error: its code, and which images have too many pixels."""
    code, most, places = (member(given, name) for name in ("error_code", "max_side_length_pixels", "paths"))
    if type(code) is not str or not _OF_THE_REQUEST.fullmatch(code):
        return None
    details: dict[str, Any] = {"error_code": code}
    if type(most) is int and 0 < most <= _MAX_PIXELS:
        details["max_side_length_pixels"] = most
    if type(places) is list and all(type(each) is str and _PLACE.fullmatch(each) for each in places):
        details["paths"] = places[:_MAX_PLACES]
    return details


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
