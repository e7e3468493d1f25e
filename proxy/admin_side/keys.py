"""The handlers about customers' keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from proxy.admin_side.documents import answer, any_members, members, query, reason
from proxy.admin_side.side import AdminSide, change
from proxy.auth.admin import Caller
from proxy.auth.api_key import KeyRequest
from proxy.auth.key_registry import Minted
from proxy.errors import ConfigurationError

_MAX_GRACE_S = 30 * 86_400.0


async def create(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Make a key."""
    document = await any_members(request)
    why = reason(document, needed=False)
    asked = KeyRequest.read({name: value for name, value in document.items() if name != "reason"})
    made = await side.changes.make(
        change(caller, "keys.create", f"a key of {asked.account}", why),
        lambda: side.keys.create(asked),
        lambda made: f"{made.record.id} of {asked.account}",
    )
    return answer(_shown_once(made), status=201)


async def import_all(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Make many keys, all or, of one batch, none."""
    document = await members(request, "keys", "reason")
    rows = document.get("keys")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigurationError("keys: must be a list of objects")
    asked = []
    for number, row in enumerate(rows):
        try:
            asked.append(KeyRequest.read(row))
            side.keys.check(asked[-1])
        except ConfigurationError as error:
            raise ConfigurationError(f"keys[{number}]: {error}") from None
    made = await side.changes.make(
        change(caller, "keys.import", f"{len(asked)} keys", reason(document, needed=False)),
        lambda: side.keys.create_all(asked),
        lambda made: [f"{one.record.id} of {one.record.account}" for one in made],
    )
    return answer({"keys": [_shown_once(one) for one in made]}, status=201)


async def list_all(side: AdminSide, _: Caller, request: web.Request) -> web.Response:
    """List keys, oldest first."""
    account = query(request, "account").get("account")
    records = [record.view() async for record in side.keys.records() if account is None or record.account == account]
    return answer({"keys": sorted(records, key=lambda view: (view["issued_at"], view["id"]))})


async def show(side: AdminSide, _: Caller, request: web.Request) -> web.Response:
    """Show one key."""
    query(request)
    with _found():
        return answer((await side.keys.show(request.match_info["id"])).view())


async def revoke(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """End a key for good; it is a customer's, so a reason is needed."""
    key_id = request.match_info["id"]
    why = reason(await members(request, "reason"), needed=True)
    with _found():
        record = await side.changes.make(
            change(caller, "keys.revoke", key_id, why),
            lambda: side.keys.revoke(key_id),
            lambda record: f"{key_id} of {record.account}",
        )
    return answer(record.view())


async def rotate(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Make a second key in place of one that ends after a while."""
    key_id = request.match_info["id"]
    document = await members(request, "grace_seconds", "reason")
    grace = document.get("grace_seconds", 0)
    if isinstance(grace, bool) or not isinstance(grace, int | float) or not 0 <= grace <= _MAX_GRACE_S:
        raise ConfigurationError("grace_seconds: must be 0 to 30 days")
    with _found():
        made = await side.changes.make(
            change(caller, "keys.rotate", key_id, reason(document, needed=False)),
            lambda: side.keys.rotate(key_id, float(grace)),
            lambda made: f"{key_id} to {made.record.id} of {made.record.account}",
        )
    return answer(_shown_once(made), status=201)


def _shown_once(minted: Minted) -> dict[str, Any]:
    return {**minted.record.view(), "secret": minted.secret}


@contextmanager
def _found() -> Iterator[None]:
    try:
        yield
    except KeyError:
        raise web.HTTPNotFound(reason="There is no such key.") from None
