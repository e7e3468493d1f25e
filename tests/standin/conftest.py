from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from proxy.standin.pace import Sleep
from proxy.standin.server import Options, make_app

StartModel = Callable[..., Awaitable[str]]


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, auto_decompress=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def start_model() -> AsyncIterator[StartModel]:
    """Start a stand-in in this process and return its URL; it ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(options: Options | None = None, sleep: Sleep | None = None) -> str:
            app = make_app(options or Options()) if sleep is None else make_app(options or Options(), sleep=sleep)
            return await stack.enter_async_context(running(app))

        yield start


@pytest.fixture
async def url(start_model: StartModel) -> str:
    """Return the URL of a stand-in that answers as fast as it can."""
    return await start_model()
