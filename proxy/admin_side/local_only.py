"""Keeps web pages away from the port of the admin side: a browser on this machine reaches it as any program does.

Laws: a page that had its own host name resolved to this machine (DNS rebinding) sends that name as `Host`, and what a
page sends to another site carries `Origin`; neither gets past here, health and metrics included.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from proxy.admin_side.documents import problem
from proxy.settings.types import is_loopback


@web.middleware
async def local_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer only what names this machine as its host and comes from no page."""
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or not _names_this_machine(hosts[0]):
        return problem(421, "The Host header must name this machine, such as localhost.")
    if "Origin" in request.headers:
        return problem(403, "Web pages are not answered here.")
    return await handler(request)


def _names_this_machine(host: str) -> bool:
    try:
        parts = urlsplit(f"//{host}")
        return parts.netloc == host and "@" not in host and is_loopback(parts.hostname or "")
    except ValueError:
        return False
