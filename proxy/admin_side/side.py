"""What the handlers of the admin side have at hand, and how each is told who asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web

from proxy.auth.admin import Caller, Role, TokenRegistry
from proxy.auth.key_registry import KeyRegistry
from proxy.decisions.change_log import Change, ChangeLog
from proxy.decisions.epochs import Epochs
from proxy.hunting.campaigns import CampaignRegistry
from proxy.packs.keeper import PackKeeper
from proxy.rules.flags.store import FlagRegistry
from proxy.samples.retention import Retention


@dataclass(frozen=True, slots=True)
class AdminSide:
    """What the handlers need from the process they run in.

    `readiness` returns what keeps the proxy from taking requests, empty when nothing does; `metrics` the exposition
    text; `pack_status` which pack is in force where, and how it got there. `marks` are the secrets of all marks.
    """

    keys: KeyRegistry
    tokens: TokenRegistry
    flags: FlagRegistry
    campaigns: CampaignRegistry
    changes: ChangeLog
    epochs: Epochs
    samples: Retention
    readiness: Callable[[], list[str]]
    metrics: Callable[[], Awaitable[bytes]]
    status: Callable[[], Mapping[str, Any]]
    packs: PackKeeper
    pack_status: Callable[[], Mapping[str, Any]]
    marks: Mapping[str, bytes] = field(repr=False)
    tracing: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)  # held by whoever tests marks


Handler = Callable[[AdminSide, Caller, web.Request], Awaitable[web.Response]]


class Route(NamedTuple):
    """One verb of the admin side and the least role that may use it; braces in the path name a variable."""

    method: str
    path: str
    least: Role
    handler: Handler


def change(caller: Caller, action: str, obj: str, why: str) -> Change:
    """Return what the caller is about to do, for the log of changes."""
    return Change(caller.name, caller.role, "token" if caller.by_token else "socket", action, obj, why)
