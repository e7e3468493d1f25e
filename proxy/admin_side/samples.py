"""The handler about samples: hands one out, sealed as it is, to who says why."""

from __future__ import annotations

import asyncio
import base64
import re

from aiohttp import web

from proxy.admin_side.documents import answer, members, reason
from proxy.admin_side.side import AdminSide, change
from proxy.auth.admin import Caller
from proxy.errors import ConfigurationError
from proxy.samples.envelope import Envelope

_ID = re.compile(r"[A-Za-z0-9_]{1,80}")


async def read(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Return the sealed sample of an exchange, once it is on record who asked for it."""
    exchange = request.match_info["id"]
    why = reason(await members(request, "reason"), needed=True)
    if not _ID.fullmatch(exchange):
        raise ConfigurationError("id: is not the id of an exchange")

    async def find() -> list[Envelope]:
        found = await asyncio.to_thread(side.samples.find, exchange)  # it reads every file
        if not found:
            raise KeyError(exchange)
        return found

    try:
        found = await side.changes.make(change(caller, "samples.read", exchange, why), find)
    except KeyError:
        raise web.HTTPNotFound(reason="There is no sample of this exchange here.") from None
    return answer({"samples": [{**each._asdict(), "sealed": base64.b64encode(each.sealed).decode()} for each in found]})
