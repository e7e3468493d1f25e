"""The handler about the keys of the decision log's pseudonyms."""

from __future__ import annotations

from aiohttp import web

from proxy.admin_side.documents import answer, members, reason
from proxy.admin_side.side import AdminSide, change
from proxy.auth.admin import Caller


async def forget(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Destroy the key of a month that is over; to ask for it again is no error."""
    epoch = request.match_info["epoch"]
    why = reason(await members(request, "reason"), needed=True)
    side.epochs.check(epoch)
    try:
        await side.changes.make(change(caller, "epochs.forget", epoch, why), lambda: side.epochs.forget(epoch))
    except KeyError:
        raise web.HTTPNotFound(reason="There is no key of that epoch.") from None
    return answer({"epoch": epoch, "forgotten": True})
