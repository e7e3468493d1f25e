"""The admin side's HTTP: health and metrics for machines, the admin API for people, on a Unix socket and a port.

Laws: `ROUTES` is the one place that says which role may use what; health and metrics alone are open. The file system
opens the socket for the owner of the data folder, who acts there as operator; the port needs a token for everything
else. Errors are problem documents (RFC 9457).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from aiohttp import web

from proxy.admin_side import campaigns, epochs, flags, keys, packs, samples, tokens
from proxy.admin_side.access import Door, answer_if_allowed
from proxy.admin_side.documents import problems
from proxy.admin_side.health import add_health, status
from proxy.admin_side.local_only import local_only
from proxy.admin_side.patience import cut_the_slow
from proxy.admin_side.server import Runner
from proxy.admin_side.side import AdminSide, Route
from proxy.admin_side.trace import trace
from proxy.auth.admin import Role
from proxy.config import Settings
from proxy.errors import ConfigurationError
from proxy.files.data_folder import ADMIN_SOCKET, socket_place
from proxy.start import own_sockets, url_of

_BODY_BYTES = 4 * 1024 * 1024

ROUTES: Final = (
    Route("GET", "/status", Role.REVIEWER, status),
    Route("GET", "/flags", Role.REVIEWER, flags.list_all),
    Route("GET", "/flags/{subject}/{name}", Role.REVIEWER, flags.show),
    Route("POST", "/flags/{subject}/{name}/{flag}/lift", Role.REVIEWER, flags.lift),
    Route("POST", "/flags/{subject}/{name}/{flag}/confirm", Role.REVIEWER, flags.confirm),
    Route("GET", "/campaigns", Role.REVIEWER, campaigns.list_all),
    Route("GET", "/campaigns/{id}", Role.REVIEWER, campaigns.show),
    Route("POST", "/campaigns/{id}/dismiss", Role.REVIEWER, campaigns.dismiss),
    Route("POST", "/campaigns/{id}/confirm", Role.REVIEWER, campaigns.confirm),
    Route("POST", "/trace", Role.REVIEWER, trace),
    Route("GET", "/keys", Role.REVIEWER, keys.list_all),
    Route("GET", "/keys/{id}", Role.REVIEWER, keys.show),
    Route("POST", "/keys", Role.OPERATOR, keys.create),
    Route("POST", "/keys/import", Role.OPERATOR, keys.import_all),
    Route("POST", "/keys/{id}/revoke", Role.OPERATOR, keys.revoke),
    Route("POST", "/keys/{id}/rotate", Role.OPERATOR, keys.rotate),
    Route("GET", "/tokens", Role.REVIEWER, tokens.list_all),
    Route("POST", "/tokens", Role.OPERATOR, tokens.create),
    Route("POST", "/tokens/{name}/revoke", Role.OPERATOR, tokens.revoke),
    Route("POST", "/pseudonyms", Role.REVIEWER, epochs.names),
    Route("POST", "/epochs/{epoch}/forget", Role.OPERATOR, epochs.forget),
    Route("POST", "/samples/{id}/read", Role.REVIEWER, samples.read),
    Route("GET", "/policy", Role.REVIEWER, packs.show),
    Route("POST", "/policy/activate", Role.AUTHOR, packs.activate),
    Route("POST", "/policy/rollback", Role.AUTHOR, packs.rollback),
)


async def open_admin(settings: Settings, side: AdminSide, stack: AsyncExitStack) -> str:
    """Open the Unix socket and the loopback port; return the port's URL. Raises ConfigurationError if it cannot."""
    try:
        path = stack.enter_context(socket_place(settings.data / ADMIN_SOCKET))
        await _open(admin_app(side, Door.SOCKET), lambda runner: web.UnixSite(runner, str(path)), stack)
        path.chmod(0o600)
        if settings.health.port is not None:
            # A socket that aiohttp opens for :: takes no IPv4; the customers' socket does.
            sockets = own_sockets(settings.health.host, settings.health.port)
            for health in [stack.enter_context(each) for each in sockets]:
                await _open(_health_app(side), partial(web.SockSite, sock=health), stack)
        port_site = partial(web.TCPSite, host=settings.admin.host, port=settings.admin.port)
        host, port = await _open(admin_app(side, Door.PORT), port_site, stack)
    except OSError as error:
        place = f"{error.filename}: the admin side cannot use it" if error.filename else "the admin side cannot listen"
        raise ConfigurationError(f"{place}: {error.strerror}") from None
    return url_of(host, port)


async def _open(
    app: web.Application, site: Callable[[web.AppRunner], web.BaseSite], stack: AsyncExitStack
) -> tuple[str, int]:
    """Serve an application until the stack ends; return where, if that is a port."""
    runner = Runner(app)
    await runner.setup()
    slow = asyncio.create_task(cut_the_slow(runner.server))
    stack.callback(slow.cancel)
    stack.push_async_callback(runner.cleanup)  # runs before `slow.cancel`: clients slow at the end are cut as well
    await site(runner).start()
    (address,) = runner.addresses[:1]
    return (address[0], address[1]) if isinstance(address, tuple) else ("", 0)


def _health_app(side: AdminSide) -> web.Application:
    """Return the application of the health port: health and metrics, and no other route."""
    app = web.Application(middlewares=[problems], client_max_size=0)
    add_health(app, side)
    return app


def admin_app(side: AdminSide, door: Door) -> web.Application:
    """Return the application of one listener; both have the same routes."""
    guards = [problems, local_only] if door is Door.PORT else [problems]
    app = web.Application(middlewares=guards, client_max_size=_BODY_BYTES)
    add_health(app, side)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _bound(route, side, door))
    return app


def _bound(route: Route, side: AdminSide, door: Door) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        return await answer_if_allowed(route, side, door, request)

    return handle
