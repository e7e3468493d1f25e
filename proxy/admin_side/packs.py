"""The handlers about packs: what is in force, activate another one, go back to an earlier one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from proxy.admin_side.documents import answer, members, query, reason
from proxy.admin_side.side import AdminSide, change
from proxy.auth.admin import Caller
from proxy.documents.problem import Problem
from proxy.errors import ConfigurationError
from proxy.packs.activation import Activation

_DIGEST_CHARS = 64


async def show(side: AdminSide, _: Caller, request: web.Request) -> web.Response:
    """Tell which pack is in force, how it got there, and what waits in shadow."""
    query(request)
    return answer(side.pack_status())


async def activate(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Bring a pack into force, whole; `patterns` is the digest of the pattern sets it was tested with, if it was."""
    document = await members(request, "content", "patterns", "reason")
    content, why = _text(document, "content"), reason(document, needed=True)
    if _text({"patterns": side.packs.patterns, **document}, "patterns") != side.packs.patterns:
        raise ConfigurationError(
            "the pack was tested with other pattern sets than are in force; restart the proxy first"
        )
    warnings = await side.changes.make(
        change(caller, "policy.activate", hashlib.sha256(content.encode()).hexdigest(), why),
        lambda: Activation(side.packs).activate(content.encode(), caller.name, why),
    )
    return answer(_changed(side, warnings))


async def rollback(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Go back to an earlier pack: the one before, or the one whose digest begins so."""
    document = await members(request, "digest", "reason")
    digest = _text(document, "digest") if "digest" in document else None
    why = reason(document, needed=True)
    if digest is not None and not 1 <= len(digest) <= _DIGEST_CHARS:
        raise ConfigurationError(f"digest: must be 1 to {_DIGEST_CHARS} characters; without it, the pack before")
    warnings = await side.changes.make(
        change(caller, "policy.rollback", digest or "the one before", why),
        lambda: Activation(side.packs).rollback(digest, caller.name, why),
        lambda _: side.packs.pack.digest,
    )
    return answer(_changed(side, warnings))


def _changed(side: AdminSide, warnings: Sequence[Problem]) -> dict[str, Any]:
    return {**side.pack_status(), "warnings": [problem.render() for problem in warnings]}


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise ConfigurationError(f"{name}: must be text")
    return value
