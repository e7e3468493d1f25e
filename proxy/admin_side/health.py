"""Health and metrics: open to whoever reaches a listener, and never a secret in them."""

from __future__ import annotations

from aiohttp import web

from proxy.admin_side.documents import answer, query
from proxy.admin_side.side import AdminSide
from proxy.auth.admin import Caller
from proxy.telemetry.exposition import CONTENT_TYPE


def add_health(app: web.Application, side: AdminSide) -> None:
    """Add the three routes that need no role."""

    async def healthz(_: web.Request) -> web.Response:
        return answer({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        missing = side.readiness()
        document = {"ready": not missing, "missing": missing, "notes": side.packs.notes()}
        return answer(document, status=503 if missing else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=await side.metrics(), headers={"Content-Type": CONTENT_TYPE})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)


async def status(side: AdminSide, _: Caller, request: web.Request) -> web.Response:
    """Tell what runs."""
    query(request)
    return answer(side.status())
