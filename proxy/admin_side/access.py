"""Who asks the admin side: a token's person on both listeners, else, on the socket alone, its user.

Laws: a token that is no good is refused on the socket as well, never passed over; the words of a refusal are constant.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from enum import Enum, auto

from aiohttp import web

from proxy.admin_side.documents import problem
from proxy.admin_side.side import AdminSide, Route
from proxy.auth.admin import Caller, Role
from proxy.log import get

_PEER = struct.Struct("3i")  # process, user, group; as unix(7) has it


class Door(Enum):
    """By which listener a request came."""

    SOCKET = auto()
    PORT = auto()


async def answer_if_allowed(route: Route, side: AdminSide, door: Door, request: web.Request) -> web.Response:
    """Call a route's handler for whoever may use it."""
    caller = await _caller(side, door, request)
    if caller is None:
        refusal = problem(401, "A valid token is needed.")
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal
    if not caller.role.covers(route.least):
        get("admin").info("refused", who=caller.name, role=caller.role, method=route.method, route=route.path)
        return problem(403, f"This needs the role {route.least}.")
    return await route.handler(side, caller, request)


async def _caller(side: AdminSide, door: Door, request: web.Request) -> Caller | None:
    given = request.headers.getall("Authorization", [])
    if not given and door is Door.SOCKET:
        return Caller(_user(request), Role.OPERATOR, by_token=False)
    if len(given) != 1:
        return None
    scheme, _, secret = given[0].partition(" ")
    return await side.tokens.authenticate(secret) if scheme.lower() == "bearer" else None


def _user(request: web.Request) -> str:
    """Return the name of the operating system's user at the other end of the socket."""
    peer = None if request.transport is None else request.transport.get_extra_info("socket")
    user = os.getuid()  # the file's mode lets in nobody but this user and root, where the system does not say which
    if peer is not None and hasattr(socket, "SO_PEERCRED"):
        _, user, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid-{user}"
