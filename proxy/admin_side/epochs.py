"""The handlers about the keys of the decision log's pseudonyms."""

from __future__ import annotations

from aiohttp import web

from proxy.admin_side.documents import answer, members, reason
from proxy.admin_side.side import AdminSide, change
from proxy.auth.admin import Caller
from proxy.errors import ConfigurationError

_ACCOUNT_CHARS = 256


async def names(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Return what an account is called in the decision log; whoever joins it to a person does so on record."""
    document = await members(request, "account", "reason")
    account = document.get("account")
    if not isinstance(account, str) or not account.isprintable() or not 0 < len(account) <= _ACCOUNT_CHARS:
        raise ConfigurationError(f"account: must be one line of 1 to {_ACCOUNT_CHARS} characters")
    why = reason(document, needed=True)
    found = await side.changes.make(change(caller, "pseudonyms.show", account, why), lambda: side.epochs.names(account))
    return answer({"account": account, "names": found})


async def forget(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Destroy the key of a month that is over, and its samples here; to ask for it again is no error."""
    epoch = request.match_info["epoch"]
    why = reason(await members(request, "reason"), needed=True)
    side.epochs.check(epoch)
    try:
        await side.changes.make(change(caller, "epochs.forget", epoch, why), lambda: side.epochs.forget(epoch))
    except KeyError:
        raise web.HTTPNotFound(reason="There is no key of that epoch.") from None
    await side.samples.sweep()
    return answer({"epoch": epoch, "forgotten": True})
