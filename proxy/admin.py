"""The admin side's HTTP: health and metrics for machines, keys for the command line.

Laws: the loopback port serves health and metrics only; what changes anything is on the Unix socket, which the file
system opens for the owner of the data folder alone. Errors are problem documents (RFC 9457).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from proxy.auth.api_key import KeyRequest
from proxy.auth.key_registry import KeyRegistry, Minted
from proxy.errors import ConfigurationError, StoreUnavailable
from proxy.log import get

_BODY_BYTES = 4 * 1024 * 1024
_PROBLEM = "application/problem+json"
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MAX_GRACE_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class AdminSide:
    """What the handlers need from the process they run in.

    `readiness` returns what keeps the proxy from taking requests, empty when nothing does; `metrics` the exposition
    text.
    """

    registry: KeyRegistry
    readiness: Callable[[], list[str]]
    metrics: Callable[[], Awaitable[bytes]]
    status: Callable[[], Mapping[str, Any]]


def health_app(side: AdminSide) -> web.Application:
    """Return the application of the loopback port."""
    app = web.Application(middlewares=[_problems])
    _add_health(app, side)
    return app


def admin_app(side: AdminSide) -> web.Application:
    """Return the application of the Unix socket."""
    keys = _Keys(side.registry)
    app = web.Application(middlewares=[_problems], client_max_size=_BODY_BYTES)
    _add_health(app, side)
    app.router.add_get("/status", lambda _: _answer(dict(side.status())))
    app.router.add_post("/keys", keys.create)
    app.router.add_post("/keys/import", keys.import_all)
    app.router.add_get("/keys", keys.list_all)
    app.router.add_get("/keys/{id}", keys.show)
    app.router.add_post("/keys/{id}/revoke", keys.revoke)
    app.router.add_post("/keys/{id}/rotate", keys.rotate)
    return app


def _add_health(app: web.Application, side: AdminSide) -> None:
    async def healthz(_: web.Request) -> web.Response:
        return await _answer({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        missing = side.readiness()
        return await _answer({"ready": not missing, "missing": missing}, status=503 if missing else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=await side.metrics(), headers={"Content-Type": _METRICS_TYPE})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)


class _Keys:
    """The handlers about keys; every change is noted in the operators' log, without secrets."""

    def __init__(self, registry: KeyRegistry) -> None:
        self._registry = registry
        self._logger = get("keys")

    async def create(self, request: web.Request) -> web.Response:
        minted = await self._registry.create(KeyRequest.read(await _object(request)))
        self._logger.info("key created", key=minted.record.id, account=minted.record.account)
        return await _answer(_shown_once(minted), status=201)

    async def import_all(self, request: web.Request) -> web.Response:
        rows = (await _object(request)).get("keys")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ConfigurationError("keys: must be a list of objects")
        requests = []
        for number, row in enumerate(rows):
            try:
                requests.append(KeyRequest.read(row))
            except ConfigurationError as error:
                raise ConfigurationError(f"keys[{number}]: {error}") from None
        minted = await self._registry.create_all(requests)
        self._logger.info("keys imported", count=len(minted))
        return await _answer({"keys": [_shown_once(one) for one in minted]}, status=201)

    async def list_all(self, request: web.Request) -> web.Response:
        account = request.query.get("account")
        records = [
            record.view() async for record in self._registry.records() if account is None or record.account == account
        ]
        return await _answer({"keys": sorted(records, key=lambda view: (view["issued_at"], view["id"]))})

    async def show(self, request: web.Request) -> web.Response:
        return await _answer((await self._registry.show(request.match_info["id"])).view())

    async def revoke(self, request: web.Request) -> web.Response:
        record = await self._registry.revoke(request.match_info["id"])
        self._logger.info("key revoked", key=record.id, account=record.account)
        return await _answer(record.view())

    async def rotate(self, request: web.Request) -> web.Response:
        grace = (await _object(request)).get("grace_seconds", 0)
        if isinstance(grace, bool) or not isinstance(grace, int | float) or not 0 <= grace <= _MAX_GRACE_S:
            raise ConfigurationError("grace_seconds: must be 0 to 30 days")
        minted = await self._registry.rotate(request.match_info["id"], float(grace))
        self._logger.info("key rotated", old=request.match_info["id"], new=minted.record.id)
        return await _answer(_shown_once(minted), status=201)


def _shown_once(minted: Minted) -> dict[str, Any]:
    return {**minted.record.view(), "secret": minted.secret}


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        document = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError:
        raise ConfigurationError("the body is not JSON") from None
    if not isinstance(document, dict):
        raise ConfigurationError("the body must be a JSON object")
    return document


async def _answer(
    document: Mapping[str, Any], status: int = 200, content_type: str = "application/json"
) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type=content_type)


@web.middleware
async def _problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn what fails into a problem document."""
    try:
        return await handler(request)
    except ConfigurationError as error:
        return await _problem(400, str(error))
    except KeyError:
        return await _problem(404, "There is no such key.")
    except StoreUnavailable:
        return await _problem(503, "The store is away; nothing was changed.")
    except web.HTTPException as error:
        return await _problem(error.status, error.reason)


async def _problem(status: int, detail: str) -> web.Response:
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return await _answer(document, status, _PROBLEM)
