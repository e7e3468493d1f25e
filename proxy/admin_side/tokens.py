"""The handlers about the admin side's own tokens."""

from __future__ import annotations

from aiohttp import web

from proxy.admin_side.documents import answer, any_members, members, query, reason
from proxy.admin_side.side import AdminSide, change
from proxy.auth.admin import Caller, TokenRequest


async def create(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Make a token for a person, with a role no wider than the caller's."""
    document = await any_members(request)
    why = reason(document, needed=False)
    asked = TokenRequest.read({name: value for name, value in document.items() if name != "reason"})
    made = await side.changes.make(
        change(caller, "tokens.create", f"{asked.name} as {asked.role}", why),
        lambda: side.tokens.create(asked, caller),
    )
    return answer({**made.token.view(), "secret": made.secret}, status=201)


async def list_all(side: AdminSide, _: Caller, request: web.Request) -> web.Response:
    """List tokens by name."""
    query(request)
    views = [token.view() async for token in side.tokens.tokens()]
    return answer({"tokens": sorted(views, key=lambda view: view["name"])})


async def revoke(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """End a token for good; a reason is needed unless it is the caller's own."""
    name = request.match_info["name"]
    own = caller.by_token and caller.name == name
    why = reason(await members(request, "reason"), needed=not own)
    try:
        token = await side.changes.make(change(caller, "tokens.revoke", name, why), lambda: side.tokens.revoke(name))
    except KeyError:
        raise web.HTTPNotFound(reason="There is no token of that name.") from None
    return answer(token.view())
